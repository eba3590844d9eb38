"""The certificate that HTTPS is served with, and how it is renewed without a restart."""

from __future__ import annotations

import logging
import ssl
from typing import TYPE_CHECKING

from publisher.errors import PortalError

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)


class Certificate:
    """A certificate chain and its key, both PEM. Errors: PortalError where they cannot be used."""

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
            return f"the key in {self._key} is not that of the certificate in {self._chain}"
        return f"{self._chain} and {self._key} are not a certificate and its key in PEM form, the key not encrypted"

    def renew(self) -> None:
        """Use what the files hold now for connections to come; where that is no good, the old one stays."""
        try:
            self._loaded()
            self.context.load_cert_chain(self._chain, self._key)
        except (PortalError, OSError) as error:
            logger.error(
                "the certificate stays as it was: %s", error if isinstance(error, PortalError) else "unreadable"
            )
        else:
            logger.info("the certificate was read again")
