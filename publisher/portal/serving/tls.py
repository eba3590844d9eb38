"""The HTTPS certificate, and how it is renewed without a restart."""

from __future__ import annotations

import logging
import ssl
from typing import TYPE_CHECKING

from publisher.errors import PortalError

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)


class Certificate:
    """A certificate chain and its key, both PEM. Raises PortalError if they cannot be used."""

    def __init__(self, chain: Path, key: Path) -> None:
        self._chain = chain
        self._key = key
        self.context = self._loaded()

    def _loaded(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        for file in (self._chain, self._key):
            try:
                file.open("rb").close()
            except OSError as error:
                raise PortalError(f"cannot read {file}: {error.strerror}") from None
        try:
            context.load_cert_chain(self._chain, self._key, password=lambda: b"")
        except ssl.SSLError as error:
            raise PortalError(self._reason(error)) from None
        return context

    def _reason(self, error: ssl.SSLError) -> str:
        if error.reason == "KEY_VALUES_MISMATCH":
            return f"the key in {self._key} does not belong to the certificate in {self._chain}"
        return (
            f"{self._chain} and {self._key} must be a certificate and its key in PEM format, with the key not encrypted"
        )

    def renew(self) -> None:
        """Read the files again for new connections; if they cannot be used, keep the old certificate."""
        try:
            self._loaded()
            self.context.load_cert_chain(self._chain, self._key)
        except (PortalError, OSError) as error:
            logger.error(
                "the certificate was not renewed: %s", error if isinstance(error, PortalError) else "unreadable"
            )
        else:
            logger.info("the certificate was renewed")
