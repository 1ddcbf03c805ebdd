"""Compare host-stt and other live servers under one load by the text on their screens:
`scripts/compare_rivals.py`.
"""
