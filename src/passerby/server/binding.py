"""Where the server may listen: on this machine only, unless a token keeps strangers out."""

from ipaddress import ip_address

from passerby.errors import InputError

LEAST_TOKEN = 16
"""Characters of a token: a shorter one is found by trying."""


def check_binding(host: str, token: str | None, proxy: str | None = None) -> None:
    """Check that nobody gets in who should not.

    Args:
        host: name or address to listen on.
        token: that clients have to show; None for none.
        proxy: address of the proxy through which clients come; None for none.

    Raises:
        InputError: the token is missing, too short or cannot be sent, or the proxy is not an
            address.
    """
    if proxy is not None:
        try:
            ip_address(proxy)
        except ValueError:
            raise InputError(
                f"--proxy {proxy!r} is not an address: write the one that the proxy asks from, "
                "such as 127.0.0.1."
            ) from None
        if token is None:
            raise InputError(
                "Through a proxy the server can be reached from other machines: give --token (or "
                "PASSERBY_TOKEN) too."
            )
    if token is None:
        if not is_loopback(host):
            raise InputError(
                f"{host} can be reached from other machines: give --token (or PASSERBY_TOKEN), or "
                "leave --host out."
            )
        return
    if len(token) < LEAST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise InputError(
            f"The token must be {LEAST_TOKEN} or more letters, digits and marks without spaces: "
            "take one from `python -c 'import secrets; print(secrets.token_urlsafe())'`."
        )


def is_loopback(host: str) -> bool:
    """Tell whether a name or address, without a port, means this machine and nothing else."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
