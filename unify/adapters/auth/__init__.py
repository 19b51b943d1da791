"""Authentication: strategies that change requests and yield token requests. They send nothing.

    factory          builds the strategy that the `auth` section of a spec describes
    base             AuthConfig: the `auth` section with its variables filled in; static headers and
                     parameters
    token            tokens that are requested when first needed; tokens of a log-in request
    token_cache      tokens shared by processes: in the system keyring, or in a private file
    oauth            token requests and responses of OAuth 2 (RFC 6749)
    grants           OAuth 2 grants: client credentials, refresh token, authorization code, device code
    jwt_bearer       the grant of service accounts: an assertion signed with a private key (RFC 7523)
    sign_in          sign-in by a user: in a browser with PKCE, or with a device code
    callback_server  the local HTTP server that receives the redirect after a sign-in in a browser
    jwt              signed JSON Web Tokens as bearer tokens
    aws              AWS Signature Version 4
    hints            which options feed the credentials that were refused

Start with factory.build_authentication; the base class is adapters.http.messages.Authentication.
HttpClient.run_auth_flow sends the yielded requests.
May import: adapters.http, formats, paging, base, options and spec; language, config, engine, fs and the top-
level modules.
"""
