"""The embedded lab: a simulated world, reached only by sound and network.

The command line goes to its machine (`namespaces.enter`), switches it on there (`startup.boot`) and
tells the instruments where to look (`startup.overlay`).
"""
