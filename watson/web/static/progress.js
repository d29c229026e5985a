// Keeps bars, counts, states and pace of the jobs on a page up to date. The page is complete without it.
"use strict";

const PERIOD_MS = 2000;
const WINDOW_MS = 30000; // the pace shown is that of the last half minute
const ENDED = new Set(["complete", "cancelled", "failed"]);

const list = document.querySelector("[data-poll]");
const live = document.getElementById("live");
const samples = new Map(); // job → [{at, done}], oldest first

const whole = new Intl.NumberFormat("en");

function pace(job) {
  const done = job.counts.catalogued + job.counts.quarantined;
  const seen = samples.get(job.job) ?? [];
  seen.push({ at: performance.now(), done });
  while (seen.length > 2 && seen[0].at < seen.at(-1).at - WINDOW_MS) seen.shift();
  samples.set(job.job, seen);
  const elapsed = (seen.at(-1).at - seen[0].at) / 1000;
  return elapsed > 0 ? (seen.at(-1).done - seen[0].done) / elapsed : null;
}

function perTime(rate) {
  if (rate >= 10) return `${whole.format(Math.round(rate))} images/s`;
  if (rate >= 0.1) return `${rate.toFixed(1)} images/s`;
  return `${(rate * 60).toFixed(1)} images/min`;
}

function duration(seconds) {
  if (seconds < 60) return `${Math.ceil(seconds)} s`;
  if (seconds < 3600) return `${Math.ceil(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

function paceText(job) {
  const rate = pace(job);
  if (ENDED.has(job.state)) return job.rate > 0 ? `${perTime(job.rate)} on average` : "–";
  const parts = [];
  if (rate !== null) parts.push(rate > 0 ? perTime(rate) : "waiting");
  if (job.in_flight > 0) parts.push(`${whole.format(job.in_flight)} in flight`);
  if (rate > 0 && job.state === "draining") parts.push(`about ${duration(job.in_flight / rate)} left`);
  return parts.join(" · ");
}

function show(element, job) {
  const state = element.querySelector("[data-state]");
  state.textContent = job.state;
  state.className = `state ${job.state}`;
  const message = element.querySelector("[data-message]");
  message.textContent = job.message;
  message.hidden = !job.message;
  for (const bar of element.querySelectorAll("[data-stage]")) {
    bar.max = Math.max(job.expected, 1);
    bar.value = job.counts[bar.dataset.stage];
  }
  for (const count of element.querySelectorAll("[data-count]")) {
    count.textContent = whole.format(job.counts[count.dataset.count]);
  }
  element.querySelector("[data-pace]").textContent = paceText(job);
  const took = document.querySelector("[data-took]"); // only on the page of one job
  if (took) took.textContent = duration(job.seconds) + (ENDED.has(job.state) ? "" : " so far");
}

async function poll() {
  const answer = await fetch(list.dataset.poll, { headers: { Accept: "application/json" } });
  const document_ = await answer.json();
  if (!answer.ok) throw new Error(document_.error);
  const jobs = document_.jobs ?? [document_];
  const shown = new Map([...document.querySelectorAll("[data-job]")].map((e) => [e.dataset.job, e]));
  for (const job of jobs) {
    if (shown.has(job.job)) show(shown.get(job.job), job);
    else if ("first" in list.dataset) document.getElementById("news").hidden = false;
  }
  return jobs.some((job) => !ENDED.has(job.state));
}

async function keepGoing() {
  if (!document.hidden) {
    try {
      live.textContent = (await poll()) ? "Live" : "";
    } catch (error) {
      live.textContent = `Not up to date: ${error.message}`;
    }
  }
  setTimeout(keepGoing, PERIOD_MS);
}

keepGoing();
