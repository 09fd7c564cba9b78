// Reads the data and puts the page together.

function start() {
  const data = JSON.parse(document.getElementById("data").textContent);
  const app = document.getElementById("app");
  const store = new Store(data);
  const browser = store.size ? new Browser(data, store) : null;
  // where students were measured, a mean over all kinds of help says nothing
  const told = !data.runs.every(measured);
  const numbers = told ? [headline(data), planeSection(data)] : [];
  const main = h("main", null, alarms(data), studentsSection(data), sessionsSection(data), ...(data.runs.length > 1 ? numbers.reverse() : numbers),
    curvesSection(data), told && rewardsSection(data), monitorsSection(data), calibrationSection(data), groupsSection(data), meaningSection(data), browser && browser.section(), settingsSection(data));
  replace(app, header(data), main);
  for (const item of document.querySelectorAll("#nav li")) item.hidden = !document.getElementById(item.dataset.for);
  if (browser) {
    const address = location.hash;
    browser.refresh();
    browser.follow(address);
    addEventListener("hashchange", () => browser.follow(location.hash));
  }
  document.documentElement.dataset.ready = "yes";
}

start();
