"""Live audio for desks: forwards the Opus packets of channels to peers that listen."""
