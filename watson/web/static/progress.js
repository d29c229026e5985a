// Keeps the numbers on a page up to date: by server-sent events, or by asking every few seconds where there are none.
// The page is complete without it. The words are those of the templates (macros.html, templating.py).
"use strict";

const POLL_MS = 3000;
const AGAIN_MS = 60000; // after a stream was refused, ask for one again
const SILENT_MS = 6000; // without a stream, before it is said
const NEWS_MS = 15000; // that news stand where "Live" does
const SWAP_MS = 10000; // sections are fetched anew at most so often
const RUNNING = new Set(["listing", "draining"]);
const ROUND = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

const place = document.querySelector("[data-stream]");
const live = document.getElementById("live");
const states = new Map(); // job → its last state, so that a change can be said
let source = null;
let timer = 0;

// ---------------------------------------------------------------- words

function pace(rate, unit = "images") {
  if (rate === null || rate === undefined) return "–";
  if (rate >= 10) return `${ROUND.format(rate)} ${unit}/s`;
  if (rate >= 0.1) return `${rate.toFixed(1)} ${unit}/s`;
  return rate > 0 ? `${(rate * 60).toFixed(1)} ${unit}/min` : `0 ${unit}/s`;
}

function duration(seconds) {
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

function left(seconds) {
  return seconds === null ? "–" : duration(Math.ceil(seconds));
}

function paceText(job) {
  const parts = [RUNNING.has(job.state) ? pace(job.now.images_per_second) : `${job.rate ? pace(job.rate) : "–"} on average`];
  if (job.in_flight) parts.push(`${ROUND.format(job.in_flight)} in flight`);
  if (RUNNING.has(job.state) && job.now.seconds_left !== null) parts.push(`${left(job.now.seconds_left)} left`);
  return parts.join(" · ");
}

function peak(bars) {
  return Math.max(0, ...bars.map((bar) => bar ?? 0));
}

function spark(bars) {
  const highest = peak(bars);
  return bars
    .map((bar, at) => (bar ? `M${at} 20v-${Math.max((20 * bar) / highest, 0.8).toFixed(1)}h.75V20z` : ""))
    .join("");
}

// ---------------------------------------------------------------- showing

function put(element, text) {
  // what is the same is left alone: nobody's selection is lost, and nothing is read out again
  if (element && element.textContent !== text) element.textContent = text;
}

function within(element, selector, text) {
  put(element.querySelector(selector), text);
}

function vital(key, text) {
  within(document, `[data-vital="${key}"]`, text);
}

function drawSpark(element, throughput) {
  element?.querySelector("[data-spark]")?.setAttribute("d", spark(throughput.bars));
  const highest = peak(throughput.bars);
  put(element?.querySelector("[data-peak]"), highest ? `, at most ${pace(highest)}` : "");
}

function showJob(element, job) {
  const state = element.querySelector("[data-state]");
  put(state, job.state);
  state.className = `state ${job.state}`;
  const message = element.querySelector("[data-message]");
  put(message, job.message);
  message.hidden = !job.message;
  for (const bar of element.querySelectorAll("[data-stage]")) {
    bar.max = Math.max(job.expected, 1);
    bar.value = job.counts[bar.dataset.stage];
  }
  for (const count of element.querySelectorAll("[data-count]")) put(count, ROUND.format(job.counts[count.dataset.count]));
  for (const share of element.querySelectorAll("[data-share]")) {
    put(share, `${((100 * job.counts[share.dataset.share]) / Math.max(job.expected, 1)).toFixed(1)} %`);
  }
  for (const rate of element.querySelectorAll("[data-rate]")) put(rate, pace(job.now.stages_per_second[rate.dataset.rate]));
  within(element, "[data-pace]", paceText(job));
  drawSpark(element, job.now.throughput);
  if (states.has(job.job) && states.get(job.job) !== job.state) sayNews(`${job.job} is ${job.state}`);
  states.set(job.job, job.state);
}

function showWholeJob(job) {
  document.querySelector(".whole").className = `whole ${job.state}`;
  vital("job-pace", pace(job.now.images_per_second));
  vital("job-left", left(job.now.seconds_left));
  vital("job-flight", ROUND.format(job.in_flight));
  vital("job-average", pace(job.rate));
  within(document, "[data-took]", duration(job.seconds) + (RUNNING.has(job.state) ? " so far" : ""));
}

function showFlow(flow) {
  for (const trouble of document.querySelectorAll("[data-trouble]")) {
    put(trouble, flow.trouble ?? "");
    trouble.hidden = !flow.trouble;
  }
  vital("pace", pace(flow.images_per_second));
  vital("left", left(flow.seconds_left));
  vital("running", ROUND.format(flow.running_jobs));
  vital("workers", flow.trouble ? "–" : ROUND.format(flow.workers));
  drawSpark(document.querySelector(".line"), flow.throughput);
  const stages = new Map(flow.stages.map((stage) => [stage.role, stage]));
  for (const tile of document.querySelectorAll("[data-role]")) showTile(tile, stages.get(tile.dataset.role));
  for (const work of document.querySelectorAll("[data-role-of]")) showWork(work, stages.get(work.dataset.roleOf));
}

function showTile(tile, stage) {
  tile.hidden = !stage;
  if (!stage) return;
  tile.className = `tile ${stage.state}`;
  within(tile, "[data-label]", stage.label);
  within(tile, "[data-workers]", ROUND.format(stage.workers.length));
  within(tile, "[data-lag]", ROUND.format(stage.lag));
  within(tile, "[data-pace-of]", pace(stage.events_per_second, "events"));
  const note = tile.querySelector("[data-note]");
  put(note, stage.note);
  note.hidden = !stage.note;
}

function showWork(work, stage) {
  work.className = `work quiet ${stage?.state ?? "absent"}`;
  within(work, "[data-label]", stage?.label ?? "–");
  const count = stage?.workers.length ?? 0;
  const waiting = stage?.lag ? `, ${ROUND.format(stage.lag)} waiting` : "";
  within(work, "[data-work]", stage ? `${count} ${count === 1 ? "worker" : "workers"}${waiting}` : "");
}

function show({ job, jobs = [job], flow }) {
  const shown = new Map([...document.querySelectorAll("[data-job]")].map((element) => [element.dataset.job, element]));
  for (const one of jobs) {
    if (shown.has(one.job)) showJob(shown.get(one.job), one);
    else if ("first" in place.dataset) document.getElementById("news").hidden = false;
  }
  if (job) showWholeJob(job);
  showFlow(flow);
  const strip = document.querySelector("[data-strip]");
  const roles = new Set([...(strip?.children ?? [])].map((tile) => tile.dataset.role));
  swap(job, strip !== null && flow.stages.some((stage) => !roles.has(stage.role)));
}

// ---------------------------------------------------------------- sections made by the server

const fetched = new Map(); // what a section shows → as JSON
let swapped = performance.now();

// Sections that are more than numbers are taken from the page itself, made anew, where what they show has changed.
async function swap(job, changed) {
  const sections = [...document.querySelectorAll("[data-swap]")];
  const wanted = sections.filter(({ dataset }) => {
    if (!job || dataset.swap === "always") return true;
    const now = JSON.stringify(job[dataset.swap]);
    if (!fetched.has(dataset.swap)) fetched.set(dataset.swap, now); // as the page came
    return fetched.get(dataset.swap) !== now;
  });
  if ((!changed && wanted.length === 0) || performance.now() - swapped < SWAP_MS) return;
  swapped = performance.now();
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const section of wanted) {
    const anew = page.getElementById(section.id);
    if (anew && !section.contains(document.activeElement)) section.replaceChildren(...document.importNode(anew, true).childNodes);
    if (job) fetched.set(section.dataset.swap, JSON.stringify(job[section.dataset.swap]));
  }
  if (changed) document.querySelector("[data-strip]").replaceWith(document.importNode(page.querySelector("[data-strip]"), true));
}

// ---------------------------------------------------------------- hearing of it

let newsUntil = 0;
let silence = null; // the timer that says that nothing was heard

function say(text) {
  put(live, text);
}

function sayNews(text) {
  newsUntil = performance.now() + NEWS_MS;
  say(text);
}

function sayLive() {
  if (performance.now() > newsUntil) say("Live");
}

function open() {
  close();
  source = new EventSource(place.dataset.stream);
  source.addEventListener("progress", (event) => {
    hears();
    sayLive();
    show(JSON.parse(event.data));
  });
  source.addEventListener("trouble", (event) => say(`Not up to date: ${JSON.parse(event.data).error}`));
  source.addEventListener("error", () => {
    if (source?.readyState === EventSource.CLOSED) poll(performance.now() + AGAIN_MS); // refused: too many are open
    // a stream that came to the end of its time begins again in a moment, and nobody need hear of it
    else silence ??= setTimeout(() => say("Not up to date: connecting again"), SILENT_MS);
  });
}

function hears() {
  clearTimeout(silence);
  silence = null;
}

async function get(address) {
  const answer = await fetch(address, { headers: { Accept: "application/json" } });
  const found = await answer.json();
  if (!answer.ok) throw new Error(found.error);
  return found;
}

async function poll(until) {
  try {
    const [found, flow] = await Promise.all([get(place.dataset.poll), get("/api/v1/flow")]);
    show(found.jobs ? { ...found, flow } : { job: found, flow });
    sayLive();
  } catch (error) {
    say(`Not up to date: ${error.message}`);
  }
  if (!document.hidden) timer = setTimeout(() => (performance.now() < until ? poll(until) : open()), POLL_MS);
}

function close() {
  clearTimeout(timer);
  hears();
  source?.close();
  source = null;
}

// A browser opens few connections to one server: a page that nobody sees keeps none.
document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
if (!document.hidden) open();
