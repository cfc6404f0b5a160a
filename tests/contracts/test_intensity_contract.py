"""The contract of ``carbon/intensity.py``, point by point, for every provider.

Each provider speaks HTTP to a real server on this machine.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from jupyter_green.carbon import transport
from jupyter_green.carbon.electricity_maps import ElectricityMaps
from jupyter_green.carbon.intensity import DIRECT, LIFECYCLE, Provider
from jupyter_green.carbon.uk import UkCarbonIntensity
from jupyter_green.errors import IntensityUnavailable
from tests.simulators.intensities import (
    IntensityServer,
    drips,
    echoes_token,
    electricity_maps,
    says,
    sleeps,
    uk_national,
    uk_regional,
)

TOKEN = "s3cret/token+1"


@dataclass(frozen=True)
class Case:
    make: Callable[[str], Provider]
    body: Callable[[object], dict[str, object]]
    """What the service answers for so many grams."""
    path: str
    basis: str
    place: str
    estimated: bool


CASES = {
    "electricity maps": Case(
        lambda url: ElectricityMaps("FR", TOKEN, url),
        electricity_maps,
        "/v3/carbon-intensity/latest?zone=FR&emissionFactorType=lifecycle",
        LIFECYCLE,
        "FR",
        False,
    ),
    "uk": Case(
        lambda url: UkCarbonIntensity("", url),
        uk_national,
        "/intensity",
        DIRECT,
        "Great Britain",
        False,
    ),
    "uk, region": Case(
        lambda url: UkCarbonIntensity("SW1A", url),
        uk_regional,
        "/regional/postcode/SW1A",
        DIRECT,
        "London, Great Britain",
        True,
    ),
}


@pytest.fixture(autouse=True)
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of the machine's is not for its own address."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def server() -> Iterator[IntensityServer]:
    with IntensityServer() as server:
        yield server


@pytest.fixture(params=CASES, ids=list(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@pytest.fixture
def provider(case: Case, server: IntensityServer) -> Provider:
    return case.make(server.url)


def refusal(provider: Provider) -> IntensityUnavailable:
    """What it says to a question that has no answer, and that it names itself and no secret."""
    with pytest.raises(IntensityUnavailable) as caught:
        provider.latest()
    error = caught.value
    assert provider.name in str(error)
    assert len(str(error)) < 300
    assert str(error).isprintable()
    # What a traceback would show, of its causes as well.
    causes = [error, error.__cause__, None if error.__suppress_context__ else error.__context__]
    assert not any(TOKEN in str(cause) for cause in causes if cause is not None)
    return error


def test_a_value(provider: Provider, case: Case, server: IntensityServer) -> None:
    server.reply = says(case.body(263))
    published = provider.latest()
    intensity = published.intensity
    assert (intensity.g_per_kwh, intensity.year, intensity.place) == (263, 2026, case.place)
    assert intensity.basis == provider.basis == case.basis
    assert intensity.estimated == case.estimated
    assert provider.name in intensity.source
    assert published.time == datetime(2026, 11, 21, 14, tzinfo=UTC)
    assert server.paths == [case.path]


def test_zero_is_a_value(provider: Provider, case: Case, server: IntensityServer) -> None:
    server.reply = says(case.body(0))
    assert provider.latest().intensity.g_per_kwh == 0


def test_every_question_is_one_request(
    provider: Provider, case: Case, server: IntensityServer
) -> None:
    for g_per_kwh in (100, 200):
        server.reply = says(case.body(g_per_kwh))
        assert provider.latest().intensity.g_per_kwh == g_per_kwh
    assert server.asked == 2


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404])
@pytest.mark.parametrize(
    "body",
    [
        {"error": "no such zone"},
        {"message": "no such zone"},
        {"error": {"message": "no such zone"}},
    ],
)
def test_refused(provider: Provider, server: IntensityServer, status: int, body: object) -> None:
    server.reply = says(body, status)
    error = refusal(provider)
    assert error.refused
    assert f"status {status}" in str(error)
    assert "no such zone" in str(error)
    assert server.asked == 1


def test_too_many_requests(provider: Provider, server: IntensityServer) -> None:
    server.reply = says({"message": "slow down"}, 429, Retry_After="120")
    error = refusal(provider)
    assert not error.refused
    assert error.again_s == 120


def test_too_many_requests_until_a_date(provider: Provider, server: IntensityServer) -> None:
    then = datetime.fromtimestamp(time.time() + 300, UTC)
    server.reply = says(b"", 429, Retry_After=format_datetime(then, usegmt=True))
    again_s = refusal(provider).again_s
    assert again_s is not None
    assert 290 < again_s <= 300


@pytest.mark.parametrize(
    ("value", "again_s"), [("soon", None), ("-5", 0), ("9" * 12, 86400), ("", None)]
)
def test_odd_retry_after(
    provider: Provider, server: IntensityServer, value: str, again_s: float | None
) -> None:
    server.reply = says({}, 503, Retry_After=value)
    assert refusal(provider).again_s == again_s


@pytest.mark.parametrize("status", [500, 502, 503])
def test_down(provider: Provider, server: IntensityServer, status: int) -> None:
    server.reply = says(b"<html>" * 500, status)
    error = refusal(provider)
    assert not error.refused
    assert error.again_s is None
    assert f"status {status}" in str(error)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>maintenance</html>",
        b"\xff\xfe",
        b"[" * 60_000,
        b"9" * 60_000,
        b"null",
        b"[]",
        b"{}",
        b'{"data": []}',
        b'{"data": [null]}',
    ],
    ids=lambda body: body[:12].decode(errors="replace"),
)
def test_garbage(provider: Provider, server: IntensityServer, body: bytes) -> None:
    server.reply = says(body)
    assert not refusal(provider).refused


@pytest.mark.parametrize(
    "g_per_kwh", [None, "44", -1, 1e9, float("nan"), float("inf"), True, [44], "<b>"]
)
def test_what_is_no_intensity(
    provider: Provider, case: Case, server: IntensityServer, g_per_kwh: object
) -> None:
    body = json.dumps(case.body(g_per_kwh))
    if case.path == "/intensity" and g_per_kwh is None:
        body = json.dumps(uk_national(None, None))
    server.reply = says(body.encode())
    refusal(provider)


def test_huge(provider: Provider, server: IntensityServer) -> None:
    server.reply = drips(b" " * 8192, 0.0, 100_000)
    began = time.monotonic()
    assert "64 kB" in str(refusal(provider))
    assert time.monotonic() - began < 2


def test_it_never_answers(
    provider: Provider, server: IntensityServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "TIMEOUT_S", 0.2)
    server.reply = sleeps(1)
    began = time.monotonic()
    assert "within" in str(refusal(provider))
    assert time.monotonic() - began < 0.9


def test_it_drips(
    provider: Provider, server: IntensityServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "DEADLINE_S", 0.3)
    server.reply = drips(b" ", 0.05, 40)
    began = time.monotonic()
    assert "within 0.3 s" in str(refusal(provider))
    assert time.monotonic() - began < 1


def test_nobody_is_there(case: Case) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        provider = case.make(f"http://127.0.0.1:{free.getsockname()[1]}")
    assert "cannot be reached" in str(refusal(provider))


def test_a_host_that_does_not_exist(case: Case) -> None:
    refusal(case.make("https://nowhere.invalid"))


def test_no_https(case: Case, server: IntensityServer) -> None:
    refusal(case.make(server.url.replace("http://", "https://")))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(
    provider: Provider, case: Case, server: IntensityServer, status: int
) -> None:
    with IntensityServer() as other:
        other.reply = says(case.body(1))
        server.reply = says(b"", status, Location=f"{other.url}/elsewhere")
        error = refusal(provider)
        assert error.refused
        assert "127.0.0.1" in str(error)
        assert other.asked == 0
    assert server.asked == 1


def test_not_to_the_same_host_either(provider: Provider, server: IntensityServer) -> None:
    server.reply = says(b"", 302, Location="/elsewhere")
    refusal(provider)
    assert server.asked == 1


def test_text_that_wants_to_be_more(provider: Provider, server: IntensityServer) -> None:
    server.reply = says({"error": "</script>\x1b[31m\n" * 1000}, 500)
    refusal(provider)  # printable, short


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500])
def test_a_token_that_is_sent_back(server: IntensityServer, status: int) -> None:
    provider = ElectricityMaps("FR", TOKEN, server.url)
    server.reply = echoes_token(status)
    assert "[token]" in str(refusal(provider))
    sent = {name.lower(): value for name, value in server.headers[0].items()}
    assert sent["auth-token"] == TOKEN


def test_a_token_where_a_value_should_be(server: IntensityServer) -> None:
    provider = ElectricityMaps("FR", TOKEN, server.url)
    for change in ({"zone": TOKEN}, {"emissionFactorType": TOKEN}, {"carbonIntensity": TOKEN}):
        server.reply = says(electricity_maps(44, **change))
        refusal(provider)


def test_no_repr_holds_a_token(provider: Provider) -> None:
    assert TOKEN not in repr(provider) + repr(vars(provider))


# --- what only one of them has ------------------------------------------------------------


def test_electricity_maps_estimates(server: IntensityServer) -> None:
    server.reply = says(
        electricity_maps(51.5, isEstimated=True, estimationMethod="TIME_SLICER_AVERAGE")
    )
    intensity = ElectricityMaps("FR", TOKEN, server.url).latest().intensity
    assert intensity.estimated
    assert "TIME_SLICER_AVERAGE" in intensity.source


def test_electricity_maps_on_another_basis(server: IntensityServer) -> None:
    server.reply = says(electricity_maps(20, emissionFactorType="direct"))
    assert "basis" in str(refusal(ElectricityMaps("FR", TOKEN, server.url)))


def test_electricity_maps_for_another_zone(server: IntensityServer) -> None:
    server.reply = says(electricity_maps(20, zone="DE"))
    assert "'DE'" in str(refusal(ElectricityMaps("FR", TOKEN, server.url)))


def test_uk_without_an_actual_value(server: IntensityServer) -> None:
    server.reply = says(uk_national(None, 170))
    intensity = UkCarbonIntensity("", server.url).latest().intensity
    assert (intensity.g_per_kwh, intensity.estimated) == (170, True)
    assert "forecast" in intensity.source


def test_uk_with_an_actual_value(server: IntensityServer) -> None:
    server.reply = says(uk_national(163, 170))
    intensity = UkCarbonIntensity("", server.url).latest().intensity
    assert (intensity.g_per_kwh, intensity.estimated) == (163, False)
    assert "actual" in intensity.source


def test_uk_sends_no_token(server: IntensityServer) -> None:
    server.reply = says(uk_national(163))
    UkCarbonIntensity("", server.url).latest()
    assert not any(name.lower() in ("auth-token", "authorization") for name in server.headers[0])
