"""The page as a browser sees it."""

import json
import re
import sys
from pathlib import Path

import pytest
from short_pages import plan_page, pooled_page
from simulate import CLAIM, poisoned, simulate

from echoaudit.inference import conclude_all
from echoaudit.report import render

sys.path.insert(0, str(Path(__file__).parents[1]))
from fetched import AXE
from local_ports import free_port

WIDTHS = (390, 820, 1280)


@pytest.fixture(scope="module")
def browser():
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.add_argument("--host-resolver-rules=MAP * ~NOTFOUND")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService("/usr/bin/chromedriver", free_port())
    driver = webdriver.Chrome(options=options, service=service)
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    info, tables, provenance = simulate([CLAIM], lifts={"fashion": 1.9})
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(render(info, tables, conclude_all([CLAIM], tables), provenance))
    return path


@pytest.fixture(scope="module")
def hostile_page(tmp_path_factory):
    """Every text of every table and of the study wants to run."""
    info, tables, provenance = simulate([CLAIM])
    conclusions = conclude_all([CLAIM], tables)
    attack = (
        "</td></style></svg><script>document.title='ran'</script><img src=x onerror=alert(1)>"
        "<a href=javascript:alert(1)>\"' onmouseover='alert(1)"
    )
    path = tmp_path_factory.mktemp("hostile") / "report.html"
    path.write_text(render(*poisoned(info, tables, attack), conclusions, provenance))
    return path


@pytest.mark.web
def test_nothing_hostile_runs_or_is_fetched(browser, hostile_page):
    sent_by(browser)
    browser.get(hostile_page.as_uri())
    assert browser.get_log("browser") == []
    assert sent_by(browser) <= {hostile_page.as_uri()}
    assert "ran" not in browser.title.split()
    script = (
        "return document.querySelectorAll('script, img, iframe, [onerror], a:not([href^=\"#\"])')"
    )
    assert browser.execute_script(script) == []


SHORT = {"plan": plan_page, "studies": pooled_page}
ATTACK = (
    "</td></style></svg></title><script>document.title='ran'</script><img src=x onerror=alert(1)>"
    "<a href=javascript:alert(1)>\"' onmouseover='alert(1) \u202e"
)


@pytest.fixture(scope="module", params=SHORT)
def short_page(request, tmp_path_factory):
    """The page of a plan, and that of several studies."""
    path = tmp_path_factory.mktemp(request.param) / "page.html"
    path.write_text(SHORT[request.param]())
    return path


@pytest.mark.web
@pytest.mark.parametrize("kind", SHORT)
def test_nothing_hostile_runs_on_the_short_pages(browser, kind, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(SHORT[kind](ATTACK))
    resize(browser, 820)
    test_nothing_hostile_runs_or_is_fetched(browser, path)


@pytest.mark.web
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_short_pages_are_as_good_in_light_and_dark_at_three_widths(browser, short_page, scheme):
    test_text_is_readable_in_light_and_dark(browser, short_page, scheme)
    for width in WIDTHS:
        test_no_request_no_message_no_sideways_scrolling(browser, short_page, width)
        test_an_accessibility_checker_finds_no_serious_fault(browser, short_page, width, 15)


@pytest.mark.web
def test_an_accessibility_checker_finds_no_serious_fault(browser, page, width=390, least=20):
    """On a narrow screen, where more has to scroll; contrast has a test of its own."""
    resize(browser, width)
    browser.set_script_timeout(200)
    browser.get(page.as_uri())
    browser.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
    browser.execute_script(AXE.path.read_text())
    found = browser.execute_async_script(
        "axe.run({resultTypes: ['violations']}).then(arguments[arguments.length - 1])"
    )
    assert len(found["passes"]) > least, "the checker did not see the page"
    assert [
        (fault["id"], fault["impact"], [node["target"] for node in fault["nodes"]][:5])
        for fault in found["violations"]
        if fault["impact"] in ("serious", "critical")
    ] == []


def resize(browser, width):
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False},
    )


def sent_by(browser):
    """Addresses that the browser asked for since this was last called."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [m["params"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    return {p["request"]["url"] for p in sent if not p["request"]["url"].startswith("chrome")}


@pytest.mark.web
@pytest.mark.parametrize("width", WIDTHS)
def test_no_request_no_message_no_sideways_scrolling(browser, page, width):
    resize(browser, width)
    sent_by(browser)
    browser.get(page.as_uri())
    assert browser.get_log("browser") == []
    assert sent_by(browser) <= {page.as_uri()}
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


@pytest.mark.web
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_in_light_and_dark(browser, page, scheme):
    """Contrast of ordinary text against its background, WCAG 2.2 level AA."""
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"features": [{"name": "prefers-color-scheme", "value": scheme}]},
    )
    browser.get(page.as_uri())
    worst = browser.execute_script(CONTRAST)
    assert worst[0] >= 4.5, worst


CONTRAST = """
const parse = c => c.match(/[\\d.]+/g).map(Number);
const over = (f, b) => { const a = f[3] === undefined ? 1 : f[3];
  return [0, 1, 2].map(i => f[i] * a + b[i] * (1 - a)); };
const light = c => { const [r, g, b] = c.map(v => v / 255)
  .map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
  return .2126 * r + .7152 * g + .0722 * b; };
const behind = e => { const chain = [];
  for (let n = e; n; n = n.parentElement) chain.unshift(parse(getComputedStyle(n).backgroundColor));
  return chain.reduce((b, f) => over(f, b), [255, 255, 255]); };
let worst = [99, ''];
for (const e of document.querySelectorAll('body *')) {
  if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
  if (!e.checkVisibility() || e.tagName === 'title') continue;
  const style = getComputedStyle(e), svg = e.tagName === 'text';
  const back = behind(e), fore = over(parse(svg ? style.fill : style.color), back);
  const [a, b] = [light(fore), light(back)].sort((x, y) => y - x);
  const ratio = (a + .05) / (b + .05);
  if (ratio < worst[0]) worst = [ratio, e.tagName + ' ' + e.textContent.slice(0, 60)];
}
return worst;
"""


@pytest.mark.web
def test_the_page_prints_to_a_pdf(page, tmp_path):
    from echoaudit.cli.printing import print_pdf

    print_pdf(page, tmp_path / "page.pdf")
    data = (tmp_path / "page.pdf").read_bytes()
    assert data.startswith(b"%PDF-") and data.rstrip().endswith(b"%%EOF")
    assert len(re.findall(rb"/Type\s*/Page\b", data)) > 3
