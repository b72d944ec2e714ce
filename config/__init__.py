"""The installation: settings, routes, the command line, and the servers that come along."""
