"""Errors before the engine serves. Windows have their own errors in `contract`.

StartError                  the process cannot start: the command line prints the sentence and ends
├── AddressRefused          a non-loopback address without a token
└── AddressInUse            another process listens there
ModelError                  no such model, or it cannot be used
├── ModelNotFound           not here, not in the hub, or the source cannot be reached
│   ├── HubUnreachable      the model hub did not respond in time
│   └── IndexUnreachable    the package index did not respond, or stopped during a file
└── ModelDamaged            files are missing, or differ from what was announced
"""

from __future__ import annotations


class StartError(Exception):
    exit_status = 2


class AddressRefused(StartError):
    pass


class AddressInUse(StartError):
    pass


class ModelError(Exception):
    pass


class ModelNotFound(ModelError):
    pass


class HubUnreachable(ModelNotFound):
    pass


class IndexUnreachable(ModelNotFound):
    pass


class ModelDamaged(ModelError):
    pass
