"""The authentication schemes of the spec language: a Struct with the keys of each ``auth.type``.

The values of the keys are templates; ``adapters.auth`` replaces their variables.
"""
# Annotations are not strings here: see model.

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from msgspec import NODEFAULT, Struct, field
from msgspec.structs import fields

from unify.adapters.spec.formats import ColumnName, DottedPath, Duration, PortText, RequestLine, URLTemplate
from unify.adapters.spec.schema import doc

Json = Any  # a JSON value: dict, list, str, int, float, bool or None
FormFields = Mapping[ColumnName, str]

AuthType = Literal["none", "basic", "bearer", "api_key", "oauth2", "session", "aws_sigv4", "jwt"]
OAuthGrant = Literal["client_credentials", "refresh_token", "authorization_code", "device_code", "jwt_bearer"]
OAUTH_GRANTS: tuple[str, ...] = get_args(OAuthGrant)
INTERACTIVE_GRANTS = ("authorization_code", "device_code")  # a user signs in once
ASSERTION_KEYS = (
    *("key", "key_id", "passphrase", "algorithm", "issuer", "subject", "audience", "claims", "lifetime"),
)  # of the grant jwt_bearer
AuthLocation = Literal["header", "query", "cookie"]
# Keys whose options need no value where a spec has several authentications.
OPTIONAL_KEYS = frozenset(
    [
        *("client_secret", "key_id", "passphrase", "issuer", "subject", "audience"),
        *("claims", "extra", "scopes", "session_token"),
    ]
)
JWTAlgorithm = Literal["HS256", "RS256", "ES256"]


class BasicAuthKeys(Struct, tag="basic"):
    username: Annotated[str, doc("User name.", "{email}")]
    password: Annotated[str | None, doc("Password or token.", "{token}")] = None


class BearerAuthKeys(Struct, tag="bearer"):
    token: Annotated[str, doc("Sent as `Authorization: Bearer …`.", "{token}")]


class APIKeyAuthKeys(Struct, tag="api_key"):
    name: Annotated[str, doc("Name of the header, parameter or cookie.", "X-API-Key")]
    value: Annotated[str, doc("Value of the header, parameter or cookie.", "{api_key}")]
    location: Annotated[AuthLocation, doc("Where it is sent.", "query")] = field(name="in", default="header")


class OAuth2AuthKeys(Struct, tag="oauth2"):
    token_url: Annotated[URLTemplate, doc("Token endpoint.", "https://a.example/token")]
    client_id: Annotated[str | None, doc("Client ID.", "{client_id}", required=True, unless="key")] = None
    grant: Annotated[OAuthGrant, doc("Grant type.", "refresh_token")] = "client_credentials"
    client_secret: Annotated[str | None, doc("Client secret.", "{client_secret}")] = None
    authorize_url: Annotated[
        URLTemplate | None,
        doc("Authorization endpoint, or device authorization endpoint.", "https://a.example/authorize"),
    ] = None
    redirect_port: Annotated[
        PortText | None, doc("Port of the redirect URI on 127.0.0.1.", "8400", default="any free port")
    ] = None
    refresh_token: Annotated[str | None, doc("Refresh token.", "{refresh_token}")] = None
    scopes: Annotated[tuple[str, ...] | None, doc("Scopes to request.", "[read]")] = None
    extra: Annotated[
        FormFields | None,
        doc("Fields added to token requests; they replace fields of the same name.", "{audience: my-api}"),
    ] = None
    key: Annotated[
        str | None,
        doc("Of jwt_bearer: private key in PEM, or the JSON key file of a service account.", "{key}"),
    ] = None
    key_id: Annotated[
        str | None, doc("`kid` of the assertion.", "{key_id}", default="that of the key file")
    ] = None
    passphrase: Annotated[str | None, doc("Passphrase of the private key.", "{passphrase}")] = None
    algorithm: Annotated[
        JWTAlgorithm | None, doc("Signature algorithm of the assertion.", "ES256", default="RS256")
    ] = None
    issuer: Annotated[
        str | None, doc("`iss` of the assertion.", "{app}", default="that of the key file, or client_id")
    ] = None
    subject: Annotated[
        str | None, doc("`sub` of the assertion: the user to act for.", "{user}", default="none")
    ] = None
    audience: Annotated[
        str | None, doc("`aud` of the assertion.", "https://login.example", default="token_url")
    ] = None
    claims: Annotated[
        FormFields | None, doc("Further claims of the assertion.", "{box_sub_type: enterprise}")
    ] = None
    lifetime: Annotated[
        Duration | None, doc("`exp` minus `iat` of the assertion.", "45 seconds", default="2 minutes")
    ] = None


class SessionAuthKeys(Struct, tag="session"):
    request: Annotated[RequestLine, doc("Log-in request.", "POST /login")]
    token: Annotated[
        DottedPath, doc("Path of the token in the response; `cookies.NAME` or `headers.NAME`.", "data.token")
    ]
    body: Annotated[Json, doc("JSON body of the request.", '{user: "{user}"}')] = None
    form: Annotated[FormFields | None, doc("Form fields, instead of a body.", '{u: "{user}"}')] = None
    headers: Annotated[FormFields | None, doc("Headers of the request.", "{X-Version: 2}")] = None
    username: Annotated[str | None, doc("User name of basic authentication.", "{id}")] = None
    password: Annotated[str | None, doc("Password of basic authentication.", "{secret}")] = None
    name: Annotated[str, doc("Name of the header, parameter or cookie.", "X-Session")] = "Authorization"
    value: Annotated[str, doc("Its value; `{session}` is the token.", "{session}")] = "Bearer {session}"
    location: Annotated[AuthLocation, doc("Where it is sent.", "cookie")] = field(name="in", default="header")


class AWSAuthKeys(Struct, tag="aws_sigv4"):
    access_key_id: Annotated[str, doc("Access key ID.", "{access_key_id}")]
    secret_access_key: Annotated[str, doc("Secret access key.", "{secret_access_key}")]
    region: Annotated[str, doc("Region.", "us-east-1")]
    service: Annotated[str, doc("Service name in signatures.", "ce")]
    session_token: Annotated[str | None, doc("Token of temporary credentials.", "{session_token}")] = None


class JWTAuthKeys(Struct, tag="jwt"):
    key: Annotated[str, doc("Signing key.", "{private_key}")]
    algorithm: Annotated[JWTAlgorithm, doc("Signature algorithm.", "ES256")] = "RS256"
    key_id: Annotated[str | None, doc("`kid` in the header.", "{key_id}")] = None
    claims: Annotated[FormFields | None, doc("Claims besides `iat` and `exp`.", '{iss: "{app}"}')] = None
    lifetime: Annotated[Duration, doc("`exp` minus `iat`.", "10 minutes", default="5 minutes")] = 300.0


class Auth(Struct, frozen=True):
    """The authentication of requests. ``settings`` has the keys of its ``type``, by name."""

    VARIANTS: ClassVar = (
        *(BasicAuthKeys, BearerAuthKeys, APIKeyAuthKeys, OAuth2AuthKeys),
        *(SessionAuthKeys, AWSAuthKeys, JWTAuthKeys),
    )

    type: Annotated[AuthType, doc("Authentication scheme.", "bearer")]
    settings: Mapping[str, Json] = {}

    @classmethod
    def from_keys(cls, type: AuthType, **settings: Json) -> Self:
        """Build from the fields of the variant that the spec sets, and the defaults of the others."""
        variants = [each for each in cls.VARIANTS if each.__struct_config__.tag == type]
        values = {
            each.encode_name: settings.get(each.name, each.default)
            for variant in variants
            for each in fields(variant)
        }
        return cls(type, {name: value for name, value in values.items() if value not in (None, NODEFAULT)})

    @property
    def is_interactive(self) -> bool:
        """Whether a user has to sign in before a table can be read."""
        return self.type == "oauth2" and self.settings.get("grant") in INTERACTIVE_GRANTS
