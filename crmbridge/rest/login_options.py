"""The options that say how a rest source logs in."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from crmbridge.contract import Options, Secret


class BearerLogin(Options):
    """`Authorization: Bearer ...`."""

    scheme: Literal["bearer"]
    token: Secret = Field(description="The token.")


class BasicLogin(Options):
    """HTTP Basic."""

    scheme: Literal["basic"]
    username: str = Field(description="The user.", max_length=200)
    password: Secret = Field(description="Their password.")


class KeyLogin(Options):
    """HTTP Basic with a key in the user's place, and no password."""

    scheme: Literal["key"]
    key: Secret = Field(description="The key.")


class HeaderLogin(Options):
    """A key in a header of its own."""

    scheme: Literal["header"]
    name: str = Field("X-Api-Key", description="The header.", pattern=r"^[A-Za-z0-9-]+$")
    prefix: str = Field("", description="What stands before the key, like `Token token=`.", max_length=100)
    value: Secret = Field(description="What it holds.")


class OAuth2Login(Options):
    """OAuth 2: client credentials (RFC 6749, section 4.4), a refresh token (section 6), or an authorization code (section 4.1.3)."""

    scheme: Literal["oauth2"]
    token_url: str = Field(description="Where tokens are given.", pattern=r"^https?://[^\s#]+$")
    client_id: str = Field(description="The client.", max_length=300)
    client_secret: Secret = Field(description="Its secret.")
    refresh_token: Secret | None = Field(None, description="A refresh token, where tokens are given for one; else for the client alone.")
    code: Secret | None = Field(
        None,
        description="An authorization code, good once and for minutes: the first login exchanges it, and the refresh token that it is "
        "worth is kept from then on.",
    )
    redirect_uri: str | None = Field(
        None, description="The address that the code was sent to, where the API wants it named.", max_length=500
    )
    scope: str | None = Field(None, description="What to ask for, if the API wants to know.", max_length=1000)
    prefix: str = Field("Bearer ", description="What stands before the token, like `Token `.", max_length=100)

    @model_validator(mode="after")
    def _one_way(self) -> OAuth2Login:
        if self.code is not None and self.refresh_token is not None:
            raise PydanticCustomError("login", "write `refresh_token` or `code`, and not both")
        if self.redirect_uri is not None and self.code is None:
            raise PydanticCustomError("login", "`redirect_uri` belongs to a `code`: write that, or neither")
        return self


Auth: TypeAlias = Annotated[BearerLogin | BasicLogin | KeyLogin | HeaderLogin | OAuth2Login, Field(discriminator="scheme")]
