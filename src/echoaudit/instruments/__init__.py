"""All that touches the world: speaker, microphone, gateway, browser."""
