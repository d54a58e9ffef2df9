"""How a rest source says who it is."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from crmbridge.contract import Options, Secret


class Bearer(Options):
    """`Authorization: Bearer ...`."""

    scheme: Literal["bearer"]
    token: Secret = Field(description="The token.")


class Basic(Options):
    """HTTP Basic."""

    scheme: Literal["basic"]
    username: str = Field(description="The user.", max_length=200)
    password: Secret = Field(description="Their password.")


class Key(Options):
    """HTTP Basic with a key in the user's place, and no password."""

    scheme: Literal["key"]
    key: Secret = Field(description="The key.")


class Header(Options):
    """A key in a header of its own."""

    scheme: Literal["header"]
    name: str = Field("X-Api-Key", description="The header.", pattern=r"^[A-Za-z0-9-]+$")
    prefix: str = Field("", description="What stands before the key, like `Token token=`.", max_length=100)
    value: Secret = Field(description="What it holds.")


class OAuth2(Options):
    """OAuth 2: client credentials (RFC 6749, section 4.4), or a refresh token (section 6)."""

    scheme: Literal["oauth2"]
    token_url: str = Field(description="Where tokens are given.", pattern=r"^https?://[^\s#]+$")
    client_id: str = Field(description="The client.", max_length=300)
    client_secret: Secret = Field(description="Its secret.")
    refresh_token: Secret | None = Field(None, description="A refresh token, where tokens are given for one; else for the client alone.")
    scope: str | None = Field(None, description="What to ask for, if the API wants to know.", max_length=1000)
    prefix: str = Field("Bearer ", description="What stands before the token, like `Token `.", max_length=100)


Auth: TypeAlias = Annotated[Bearer | Basic | Key | Header | OAuth2, Field(discriminator="scheme")]
