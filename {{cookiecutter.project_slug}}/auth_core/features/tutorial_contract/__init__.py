"""The contract of the old tutorial (rest_auth with rest_framework_jwt): one `token`, refreshed by itself."""
