"""Settings of the invitations."""

INSTALLED_APPS = ["auth_core.features.invitations"]
# How long the mailed link works.
INVITATION_DAYS = 7
# Who may invite: a permission class of DRF. Each sees and withdraws what they sent; the admin shows all.
INVITATION_PERMISSION = "rest_framework.permissions.IsAdminUser"
REST_AUTH = {
    "REGISTER_SERIALIZER": "auth_core.features.invitations.serializers.InvitedRegisterSerializer"
}
RATE_LIMITS = {"invite": "30/m/user,300/d/user"}
PURGES = {"invitations": "auth_core.features.invitations.services.purge"}
SCHEMA_EXAMPLES = {"invitation": "KEY-OF-THE-MAILED-LINK"}
