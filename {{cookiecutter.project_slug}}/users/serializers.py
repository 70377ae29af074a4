"""What the API shows of a user and lets a user change: GET, PUT and PATCH of `user/`."""

from auth_core.accounts.serializers import UserDetailsSerializer


class UserSerializer(UserDetailsSerializer):
    """Add your fields to `Meta.fields`; list those that only you may change in `read_only_fields`.

    Nothing that grants rights (is_staff, is_superuser, groups, is_active) belongs here.
    """

    class Meta(UserDetailsSerializer.Meta):
        fields = (*UserDetailsSerializer.Meta.fields,)
        read_only_fields = (*UserDetailsSerializer.Meta.read_only_fields,)
