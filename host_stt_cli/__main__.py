"""`python -m host_stt_cli`, the same as `host-stt`."""

from host_stt_cli.main import main

main()
