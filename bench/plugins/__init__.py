"""Plugins of agent frameworks for speech recognition, unmodified, against a running server.

The modules run in an environment of their own, which has the frameworks; they import nothing of this project.
`bench.clients.agent_plugins` starts them.
"""
