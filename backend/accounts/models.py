"""Users, their workspaces and memberships, their log-ins, and stored responses of idempotent requests."""

from collections.abc import Collection
from typing import Any, ClassVar, Self

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils import timezone

from backend.http.ids import PublicId, new_id
from backend.http.mailboxes import InvalidEmail, canonical


class UserManager(BaseUserManager["User"]):
    def get_by_natural_key(self, username: str | None) -> "User":
        try:
            return self.get(email=canonical(username or ""))
        except InvalidEmail as error:
            raise self.model.DoesNotExist from error

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """:raises InvalidEmail: this is no address with one spelling."""
        user = self.model(email=canonical(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        return self.create_user(email, password, **{**fields, "is_staff": True, "is_superuser": True})


class User(PublicId, AbstractBaseUser, PermissionsMixin):
    """A person, known by an e-mail address."""

    id_prefix = "usr"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    email = models.EmailField(
        max_length=254, unique=True
    )  # In the spelling of ``mailboxes.canonical``: one per mailbox.
    name = models.CharField(max_length=150, blank=True)
    language = models.CharField(max_length=8, blank=True, choices=settings.LANGUAGES)  # Blank: that of the browser.
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects: ClassVar[UserManager] = UserManager()
    _loaded: dict[str, Any] | None = None  # Column values as the database had them; none for a new user.

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        constraints = [
            models.UniqueConstraint(Lower("email"), name="user_email_unique"),
            # As much of ``mailboxes.canonical`` as SQL can check; with it, unique means one account per mailbox.
            models.CheckConstraint(
                condition=Q(email__regex=r"^[!-~]+$") & Q(email=Lower("email")), name="user_email_canonical"
            ),
        ]

    def __str__(self) -> str:
        return self.email

    @classmethod
    def from_db(cls, db: str | None, field_names: Collection[str], values: Collection[Any], **kwargs: Any) -> Self:
        user = super().from_db(db, field_names, values, **kwargs)
        user._loaded = dict(zip(field_names, values, strict=True))
        return user

    def save(self, **kwargs: Any) -> None:
        """Write only the columns that changed since the row was read.

        Django's password forms, its admin and allauth read a user, hash a password for 20 ms or more, and save every
        column. Without this, such a save undoes what another transaction committed in between: it lets a user back in
        whom an operator has just locked out, or restores an address that was proved to be another account's.
        """
        if not self._state.adding and self._loaded is not None and kwargs.get("update_fields") is None:
            kwargs["update_fields"] = [name for name, value in self._loaded.items() if getattr(self, name) != value]
        super().save(**kwargs)
        if self._loaded is not None:
            self._loaded = {name: getattr(self, name) for name in self._loaded}


class Workspace(PublicId, models.Model):
    """Owns everything that a user makes: documents, agents, conversations and the wallet."""

    id_prefix = "wsp"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(max_length=150)
    personal_owner = models.OneToOneField(
        User, null=True, blank=True, on_delete=models.PROTECT, related_name="personal_workspace"
    )
    members = models.ManyToManyField(User, through="Membership", related_name="workspaces")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """The role of a user in a workspace."""

    class Role(models.TextChoices):
        OWNER = "owner"
        ADMIN = "admin"
        MEMBER = "member"
        VIEWER = "viewer"

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=8, choices=Role, default=Role.MEMBER)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["workspace", "user"], name="membership_unique"),
            models.CheckConstraint(
                condition=Q(role__in=["owner", "admin", "member", "viewer"]), name="membership_role_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} · {self.workspace}"


class SessionQuerySet(models.QuerySet["Session"]):
    def live(self) -> Self:
        return self.filter(revoked_at=None, expires_at__gt=timezone.now())


class Session(PublicId, models.Model):
    """One log-in on one device. A refresh token is valid for one generation of it."""

    id_prefix = "ses"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sessions")
    generation = models.PositiveIntegerField(default=1)
    generation_at = models.DateTimeField(default=timezone.now)  # When the current generation began.
    amr = models.JSONField(default=list)  # RFC 8176 authentication methods, such as ["pwd"].
    # The reference of allauth's state of this log-in, which holds the progress of flows with several steps.
    state_key = models.CharField(max_length=40, blank=True)
    user_agent = models.CharField(max_length=256, blank=True)
    ip_address = models.GenericIPAddressField(null=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    last_used_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)
    revoked_reason = models.CharField(max_length=32, blank=True)

    objects = SessionQuerySet.as_manager()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(generation__gte=1), name="session_generation_positive")]
        indexes = [
            models.Index(fields=["user", "-id"], name="session_of_user", condition=Q(revoked_at=None)),
            models.Index(fields=["revoked_at"], name="session_revoked", condition=Q(revoked_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.public_id


class IdempotencyKey(models.Model):
    """The first response to a request, stored in the transaction that did its work and replayed for a day."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="+")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)  # SHA-256 of method, path and body, in hex.
    status = models.PositiveSmallIntegerField()
    location = models.TextField(blank=True)
    content_type = models.CharField(max_length=128, blank=True)
    body = models.BinaryField()
    created_at = models.DateTimeField(default=timezone.now, editable=False, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["workspace", "user", "key"], name="idempotency_key_unique")]

    def __str__(self) -> str:
        return self.key
