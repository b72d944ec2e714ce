"""Coming in and going out: sign-in, sign-out, and the one-time link that makes the owner."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth import login, logout
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters

from annotation.actions import people
from annotation.errors import AbsentError, TouchstoneError
from annotation.forms import SetupForm, SignInForm
from annotation.views.page import Page, add_error

BACKEND = "django.contrib.auth.backends.ModelBackend"


def safe_next(request: HttpRequest) -> str:
    """Where to go after signing in: the `next` that was sent where it is on this site, else nothing."""
    wanted = str(request.POST.get("next") or request.GET.get("next") or "")
    is_safe = url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return wanted if is_safe else ""


@method_decorator([never_cache, sensitive_post_parameters()], name="dispatch")
class SignInView(Page):
    """Name and password."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """The form; who is signed in goes on."""
        if request.user.is_authenticated:
            return HttpResponseRedirect(safe_next(request) or settings.LOGIN_REDIRECT_URL)
        return show_sign_in(request, SignInForm(request))

    def post(self, request: HttpRequest) -> HttpResponse:
        """Sign in."""
        form = SignInForm(request, data=request.POST)
        if not form.is_valid():
            return show_sign_in(request, form, status=400)
        login(request, form.get_user())
        return HttpResponseRedirect(safe_next(request) or settings.LOGIN_REDIRECT_URL)


def show_sign_in(request: HttpRequest, form: SignInForm, status: int = 200) -> HttpResponse:
    """The sign-in page."""
    return render(request, "annotation/sign_in.html", {"form": form, "next": safe_next(request)}, status=status)


def show_locked_out(request: HttpRequest, *_args: Any, **_kwargs: Any) -> HttpResponse:
    """What django-axes answers with after too many wrong passwords: the same page, with what to do."""
    form = SignInForm(request, initial={"username": request.POST.get("username", "")})
    minutes = int(settings.AXES_COOLOFF_TIME.total_seconds() // 60)
    form.shown_errors.append(
        _("Too many wrong passwords for this name from here. Wait %(minutes)d minutes, or ask for a new password.")
        % {"minutes": minutes}
    )
    return show_sign_in(request, form, status=429)


class SignOutView(Page):
    """Going out, by POST only, so that no link and no image can do it."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest) -> HttpResponse:
        """End the session."""
        logout(request)
        return redirect(settings.LOGOUT_REDIRECT_URL)


@method_decorator([never_cache, sensitive_post_parameters()], name="dispatch")
class SetupView(Page):
    """The one-time link that makes the owner."""

    def get(self, request: HttpRequest, token: str) -> HttpResponse:
        """The form, or what to do where the link is spent."""
        try:
            people.find_setup_link(token)
        except AbsentError as error:
            return self._show(None, status=error.status)
        return self._show(SetupForm())

    def post(self, request: HttpRequest, token: str) -> HttpResponse:
        """Make the owner and sign them in."""
        form = SetupForm(request.POST)
        if not form.is_valid():
            return self.get(request, token) if request.POST.get("username") is None else self._show(form, status=400)
        try:
            user = people.use_setup_link(
                raw=token, username=form.cleaned_data["username"], password=form.cleaned_data["password"]
            )
        except AbsentError as error:
            return self._show(None, status=error.status)
        except TouchstoneError as error:
            add_error(form, error)
            return self._show(form, status=error.status)
        login(request, user, backend=BACKEND)
        return HttpResponseRedirect(reverse("project-list"))

    def _show(self, form: SetupForm | None, status: int = 200) -> HttpResponse:
        context = {"form": form, "is_spent": form is None}
        return render(self.request, "annotation/setup.html", context, status=status)
