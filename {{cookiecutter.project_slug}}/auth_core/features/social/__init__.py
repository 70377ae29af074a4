"""Login with an account at another provider (OAuth 2.0, OpenID Connect), and the links between both accounts."""
