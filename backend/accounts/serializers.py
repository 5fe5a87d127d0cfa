"""Serializers of accounts, one per direction."""

from typing import Any

from django.conf import settings
from rest_framework import serializers

from backend.accounts.models import Membership, Session, User, Workspace
from backend.accounts.queries import Profile
from backend.http.bodies import StrictSerializer
from backend.http.fields import CharField, ChoiceField
from backend.http.ids import PublicIdField


class MembershipSerializer(serializers.ModelSerializer[Membership]):
    """A workspace as one of its members sees it."""

    id = PublicIdField(Workspace.id_prefix, source="workspace_id", read_only=True)
    name = serializers.CharField(source="workspace.name", read_only=True)
    personal = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField(source="workspace.created_at", read_only=True)

    class Meta:
        model = Membership
        fields = ["id", "name", "role", "personal", "created_at"]
        read_only_fields = fields

    def get_personal(self, membership: Membership) -> bool:
        return membership.workspace.personal_owner_id == membership.user_id


class UserSerializer(serializers.Serializer[Profile]):
    id = PublicIdField(User.id_prefix, source="user.id", read_only=True)
    email = serializers.EmailField(source="user.email", read_only=True)
    name = serializers.CharField(source="user.name", read_only=True)
    # Not the choices of the model: their schema would omit the empty value.
    language = serializers.CharField(
        source="user.language", read_only=True, help_text="``en``, ``pt-br``, or empty: that of the request."
    )
    workspace = serializers.SerializerMethodField(help_text="The personal workspace.")
    workspaces = MembershipSerializer(source="memberships", many=True, read_only=True)
    created_at = serializers.DateTimeField(source="user.created_at", read_only=True)

    def get_workspace(self, profile: Profile) -> str | None:
        workspaces = (membership.workspace for membership in profile.memberships)
        return next((found.public_id for found in workspaces if found.personal_owner_id == profile.user.pk), None)


# Made once: a serializer copies its fields for each instance of itself, which takes longer than to show one user.
_USER = UserSerializer()


def user_data(profile: Profile) -> dict[str, Any]:
    return dict(_USER.to_representation(profile))


class UserChangeSerializer(StrictSerializer):
    name = CharField(max_length=150, required=False, allow_blank=True)
    language = ChoiceField(choices=settings.LANGUAGES, required=False, allow_blank=True)


class SessionSerializer(serializers.ModelSerializer[Session]):
    id = PublicIdField(Session.id_prefix, read_only=True)
    current = serializers.SerializerMethodField(help_text="Whether this request belongs to it.")
    amr = serializers.ListField(child=serializers.CharField(), read_only=True)

    class Meta:
        model = Session
        fields = ["id", "current", "amr", "user_agent", "ip_address", "created_at", "last_used_at", "expires_at"]
        read_only_fields = fields

    def get_current(self, session: Session) -> bool:
        return bool(session.pk == self.context["request"].user.session_id)


class RefreshSerializer(StrictSerializer):
    refresh_token = CharField(max_length=4096)


class TokensSerializer(serializers.Serializer[Any]):
    access_token = serializers.CharField()
    refresh_token = serializers.CharField()
    expires_in = serializers.IntegerField(help_text="Seconds that the access token has.")


class RefreshedSerializer(serializers.Serializer[Any]):
    status = serializers.IntegerField()

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return {**super().get_fields(), "data": TokensSerializer()}  # ``data`` as an attribute would hide the API.
