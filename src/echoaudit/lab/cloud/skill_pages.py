"""The shop's page of a skill: what it is, and enabling it for the account that is signed in."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from echoaudit.lab.cloud.context import Cloud, StockedSkill
from echoaudit.lab.cloud.pages import render
from echoaudit.lab.cloud.sign_in import signed_in
from echoaudit.lab.world_model import SKILL_PAGE


def routes(cloud: Cloud) -> list[Route]:
    """One page per skill in store: ``GET`` shows it, ``POST`` enables or disables it."""

    async def page(request: Request) -> Response:
        stocked = cloud.skills.get(request.path_params["id"])
        if stocked is None:
            return HTMLResponse(render("no-skill.html.jinja"), 404)
        account = signed_in(cloud, request)
        if request.method == "GET":
            return _show(cloud, stocked, account)
        if account is None:
            return RedirectResponse("/ap/signin", 303)
        sent = await request.form()
        return _act(cloud, stocked, account, str(sent.get("do", "")))

    return [Route(SKILL_PAGE, page, methods=["GET", "POST"])]


def _act(cloud: Cloud, stocked: StockedSkill, account: str, do: str) -> Response:
    """A button was pressed; a skill that wants leave for something is enabled when it has it."""
    skill = stocked.skill
    if do == "enable" and skill.id in cloud.world.file.platform.unavailable:
        return _show(cloud, stocked, account, refused=True)
    if do == "enable" and skill.permissions:
        return _show(cloud, stocked, account, asks=True)
    if do in ("enable", "accept", "disable"):
        cloud.store.set_enabled(account, skill.id, do != "disable")
        cloud.truth.write("store", {"account": account, "skill": skill.id, "do": do})
    return RedirectResponse(SKILL_PAGE.format(id=skill.id), 303)


def _show(
    cloud: Cloud,
    stocked: StockedSkill,
    account: str | None,
    *,
    asks: bool = False,
    refused: bool = False,
) -> Response:
    text = render(
        "skill.html.jinja",
        skill=stocked.skill,
        signed_in=account is not None,
        enabled=account is not None and cloud.store.is_enabled(account, stocked.skill.id),
        asks=asks,
        refused=refused,
    )
    return HTMLResponse(text, headers={"Cache-Control": "no-store"})
