"""The server's secret: digests API keys for look-up and encrypts what the API must show again."""

import base64
import hashlib
import hmac
import os
import secrets
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken

from api.settings import Settings, SettingsError

KEY_PREFIX = "ragflow-"


def load_secret(settings: Settings) -> str:
    """The configured secret, or the one in the data folder, made on the first start (mode 0600)."""
    configured = settings.secret_key.get_secret_value()
    if configured:
        return configured
    file = settings.data_dir / "secret"
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _read_secret(file)
    with os.fdopen(handle, "w") as out:
        out.write(secrets.token_urlsafe(48))
        out.flush()
        os.fsync(out.fileno())
    return _read_secret(file)


def _read_secret(file: Path) -> str:
    secret = file.read_text("ascii", errors="replace").strip()
    if len(secret) < 32:
        raise SettingsError(
            f"{file} is damaged: it must hold the server's secret (32 characters or more). Restore it from a "
            "backup; without it stored API keys no longer work and new ones must be made."
        )
    return secret


class Vault:
    """Digests and seals with the server's secret."""

    def __init__(self, secret: str) -> None:
        self._digest_key = hashlib.sha256(b"ragd digest " + secret.encode()).digest()
        self._fernet = Fernet(
            base64.urlsafe_b64encode(hashlib.sha256(b"ragd seal " + secret.encode()).digest())
        )

    def digest(self, key: str) -> str:
        """64 hex digits by which a key is found; does not reveal it."""
        return hmac.new(self._digest_key, key.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()

    def seal(self, text: str) -> str:
        """Encrypt."""
        return self._fernet.encrypt(text.encode()).decode("ascii")

    def unseal(self, sealed: str) -> str | None:
        """Decrypt; None when it was sealed with another secret."""
        try:
            return self._fernet.decrypt(sealed.encode("ascii")).decode()
        except InvalidToken:
            return None


def new_api_key() -> str:
    """`ragflow-` and 43 URL-safe characters: 256 bits."""
    return KEY_PREFIX + secrets.token_urlsafe(32)
