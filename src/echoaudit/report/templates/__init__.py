"""Templates of the page; every printed value is cleaned and escaped."""
