"""The inputs for audio: WebRTC offers, WHIP, sockets, uploads, backfill. Each one feeds channels."""
