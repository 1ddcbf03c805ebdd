"""The signature of a webhook: HMAC-SHA256 over the delivery id, the time and the body. Pure.

The headers are those of the open convention "Standard Webhooks", so its libraries can check them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

PREFIX = "whsec_"
KEY_BYTES = 32
SCHEMA_VERSION = 1


def new_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def headers_of(secret: str, delivery: str, event: str, body: bytes, at_s: int) -> dict[str, str]:
    """The headers of one attempt. at_s: the time of the attempt, in seconds since 1970."""
    return {
        "Content-Type": "application/json",
        "webhook-id": delivery,
        "webhook-timestamp": str(at_s),
        "webhook-signature": f"v1,{signature(secret, delivery, body, at_s)}",
        "webhook-event": event,
        "webhook-schema": str(SCHEMA_VERSION),
    }


def signature(secret: str, delivery: str, body: bytes, at_s: int) -> str:
    """Base64 of the HMAC. The key is the Base64 part of the secret, decoded."""
    key = base64.b64decode(secret.removeprefix(PREFIX))
    signed = b"%s.%d.%s" % (delivery.encode(), at_s, body)
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
