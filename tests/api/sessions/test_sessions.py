"""`/api/v1/chats/{chat_id}/sessions` as a client sees it."""

from typing import Any

import pytest

from tests.api.chatting import make_chat, make_session
from tests.api.client import Api
from tests.api.conftest import MakeApi

UNKNOWN = "f00df00de54811f1955e02fc00000001"
OPENER = "Hi! I'm your assistant. What can I do for you?"


def refused(message: str, code: int = 102) -> dict[str, Any]:
    return {"code": code, "message": message}


def test_a_new_session_begins_with_the_opener(api: Api) -> None:
    chat_id = make_chat(api)
    data = api.post(f"/chats/{chat_id}/sessions")["data"]
    assert data.keys() == {
        "id", "chat_id", "name", "user_id", "messages", "create_time", "update_time", "create_date", "update_date",
    }  # fmt: skip
    assert (data["chat_id"], data["name"], data["user_id"]) == (chat_id, "New session", "")
    assert data["messages"] == [{"role": "assistant", "content": OPENER}]


def test_no_opener_is_null(api: Api) -> None:
    chat_id = make_chat(api, prompt={"opener": None})
    messages = api.post(f"/chats/{chat_id}/sessions", json={"name": "s"})["data"]["messages"]
    assert messages == [{"role": "assistant", "content": None}]


@pytest.mark.parametrize("name", ["", None])
def test_a_session_needs_a_name(api: Api, name: Any) -> None:
    chat_id = make_chat(api)
    reply = api.post(f"/chats/{chat_id}/sessions", json={"name": name})
    assert reply == refused("`name` can not be empty.")


def test_unknown_and_deleted_chats(api: Api) -> None:
    chat_id = make_chat(api)
    session_id = make_session(api, chat_id)
    api.delete("/chats", json={"ids": [chat_id]})
    for one in (chat_id, UNKNOWN):
        path = f"/chats/{one}/sessions"
        assert api.post(path, json={"name": ""}) == refused("You do not own the assistant.")
        assert api.get(path) == refused(f"You don't own the assistant {one}.")
        assert api.delete(path) == refused("You don't own the chat")
    reply = api.put(f"/chats/{chat_id}/sessions/{session_id}", json={"name": "x"})
    assert reply == refused("You do not own the session")


class TestUpdate:
    def test_name_and_user_id(self, api: Api) -> None:
        chat_id = make_chat(api)
        session_id = make_session(api, chat_id, user_id="u1")
        path = f"/chats/{chat_id}/sessions/{session_id}"
        assert api.put(path, json={"name": "renamed"}) == {"code": 0}
        assert api.put(path, json={"user_id": "u2"}) == {"code": 0}
        session = api.get(f"/chats/{chat_id}/sessions")["data"][0]
        assert (session["name"], session["user_id"]) == ("renamed", "u2")
        assert session["update_time"] > session["create_time"]

    @pytest.mark.parametrize(
        ("body", "reply"),
        [
            ({"message": []}, refused("`message` can not be change")),
            ({"messages": [], "reference": []}, refused("`message` can not be change")),
            ({"reference": [], "name": ""}, refused("`reference` can not be change")),
            ({"name": ""}, refused("`name` can not be empty.")),
            ({"name": None}, refused("`name` can not be empty.")),
            (
                {"id": "x"},
                refused("Field: <id> - Message: <Extra inputs are not permitted> - Value: <x>", 101),
            ),
            (
                {"name": 1},
                refused("Field: <name> - Message: <Input should be a valid string> - Value: <1>", 101),
            ),
        ],
    )
    def test_refusals(self, api: Api, body: dict[str, Any], reply: dict[str, Any]) -> None:
        chat_id = make_chat(api)
        session_id = make_session(api, chat_id)
        assert api.put(f"/chats/{chat_id}/sessions/{session_id}", json=body) == reply
        assert api.get(f"/chats/{chat_id}/sessions")["data"][0]["name"] == "New session"

    def test_a_session_of_another_chat(self, api: Api) -> None:
        chat_id, other = make_chat(api, name="1"), make_chat(api, name="2")
        session_id = make_session(api, chat_id)
        for path in (f"/chats/{other}/sessions/{session_id}", f"/chats/{chat_id}/sessions/{UNKNOWN}"):
            assert api.put(path, json={"message": []}) == refused("Session does not exist")


def test_list_filters_and_pages(api: Api) -> None:
    chat_id = make_chat(api)
    ids = [make_session(api, chat_id, name=f"s{n % 2}", user_id=f"u{n}") for n in range(4)]

    def listed(**params: Any) -> list[str]:
        return [one["id"] for one in api.get(f"/chats/{chat_id}/sessions", params=params)["data"]]

    assert listed() == ids[::-1]
    assert listed(desc="False") == ids
    assert listed(name="s1", desc="False") == [ids[1], ids[3]]
    assert listed(user_id="u2") == [ids[2]]
    assert listed(id=ids[0]) == [ids[0]]
    assert listed(id=UNKNOWN) == listed(name="S1") == []
    assert listed(page=2, page_size=3) == [ids[0]]
    assert listed(page=9) == []


@pytest.mark.parametrize(
    "params", [{"page": "a"}, {"page": "-1"}, {"page_size": "-5"}, {"orderby": "messages"}]
)
def test_bad_paging(api: Api, params: dict[str, str]) -> None:
    chat_id = make_chat(api)
    assert api.get(f"/chats/{chat_id}/sessions", params=params)["code"] == 101


def test_delete(api: Api) -> None:
    chat_id = make_chat(api)
    one, two, three = (make_session(api, chat_id) for _ in range(3))
    path = f"/chats/{chat_id}/sessions"
    errors = ["The chat doesn't own the session x"]
    reply = api.delete(path, json={"ids": [one, "x", one]})
    assert reply == {"code": 0, "data": {"success_count": 1, "errors": errors}}
    reply = api.delete(path, json={"ids": [two, two]})
    assert reply == {"code": 0, "data": {"success_count": 1, "errors": [f"Duplicate session ids: {two}"]}}
    assert api.delete(path, json={"ids": ["x"]}) == refused("The chat doesn't own the session x")
    assert [session["id"] for session in api.get(path)["data"]] == [three]
    assert api.delete(path, json={"ids": None}) == {"code": 0}
    assert api.get(path)["data"] == []
    assert api.delete(path) == {"code": 0}


def test_another_tenants_sessions_do_not_exist(make_api: MakeApi) -> None:
    api, other_api = make_api(), make_api()
    chat_id = make_chat(api)
    session_id = make_session(api, chat_id)
    own = make_chat(other_api)
    path = f"/chats/{chat_id}/sessions"
    assert other_api.get(path) == refused(f"You don't own the assistant {chat_id}.")
    assert other_api.post(path, json={}) == refused("You do not own the assistant.")
    assert other_api.put(f"{path}/{session_id}", json={"name": "x"}) == refused("Session does not exist")
    assert other_api.put(f"{path}/{UNKNOWN}", json={"name": "x"}) == refused("Session does not exist")
    assert other_api.put(f"/chats/{own}/sessions/{session_id}", json={"name": "x"}) == refused(
        "Session does not exist"
    )
    assert other_api.delete(path, json={"ids": [session_id]}) == refused("You don't own the chat")
    reply = other_api.delete(f"/chats/{own}/sessions", json={"ids": [session_id]})
    assert reply == refused(f"The chat doesn't own the session {session_id}")
    for one in (chat_id, own):
        reply = other_api.post(f"/chats/{one}/completions", json={"question": "x", "session_id": session_id})
        assert reply["code"] == 102
    assert len(api.get(path)["data"][0]["messages"]) == 1
