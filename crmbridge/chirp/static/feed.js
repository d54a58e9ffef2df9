// Live posts, times and small comforts. Every page works without this file: by loading it again.
"use strict";

// --- times in the reader's own zone; the same words as `ago` in frame.py

function ago(moment, now, long) {
  const seconds = (now - moment) / 1000;
  if (seconds < 60) return "now";
  const end = long ? " ago" : "";
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min${end}`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h${end}`;
  if (seconds < 7 * 86400) return `${Math.floor(seconds / 86400)} d${end}`;
  const sameYear = moment.getFullYear() === now.getFullYear();
  return moment.toLocaleDateString("en-GB", { day: "numeric", month: "short", year: sameYear ? undefined : "numeric" });
}

function tellTimes(root) {
  const now = new Date();
  for (const element of root.querySelectorAll("time[datetime]")) {
    const moment = new Date(element.dateTime);
    if (Number.isNaN(moment.getTime())) continue;
    const words = ago(moment, now, element.classList.contains("ago"));
    if (element.textContent !== words) element.textContent = words;
    element.title = moment.toLocaleString("en-GB", { dateStyle: "full", timeStyle: "short" });
  }
}

// --- the live stream

function live(area) {
  const posts = document.getElementById("posts");
  const button = area.querySelector("button");
  const status = area.querySelector("[role=status]");
  const address = new URL(area.dataset.live, location.href);
  const waiting = [];
  let source = null;

  const atTop = () => window.scrollY < 160;

  function show(articles) {
    document.getElementById("empty")?.remove();
    for (const article of articles) {
      posts.prepend(article);
      article.classList.add("fresh");
    }
    tellTimes(posts);
    status.textContent = articles.length === 1 ? "One new post" : `${articles.length} new posts`;
  }

  const articleOf = (html) => new DOMParser().parseFromString(html, "text/html").querySelector("article");

  // An edited post takes its own place; a deleted one leaves it. The reader's focus stays where it was.
  function change(event) {
    const said = JSON.parse(event.data);
    address.searchParams.set("changed", said.change);
    const at = waiting.findIndex((other) => other.id === said.post);
    const old = at < 0 ? document.getElementById(said.post) : waiting[at];
    const article = articleOf(said.html);
    if (!old) return;
    if (article) {
      document.adoptNode(article);
      const focused = old.contains(document.activeElement);
      if (at < 0) old.replaceWith(article);
      else waiting[at] = article;
      if (focused) article.querySelector("a")?.focus({ preventScroll: true });
      tellTimes(article);
    } else if (at < 0) {
      old.remove();
    } else {
      waiting.splice(at, 1);
      button.hidden = !waiting.length;
    }
    status.textContent = article ? "A post was changed" : "A post was deleted";
  }

  function receive(event) {
    address.searchParams.set("after", event.lastEventId);
    const article = articleOf(JSON.parse(event.data).html);
    if (!article || document.getElementById(article.id) || waiting.some((other) => other.id === article.id)) return;
    document.adoptNode(article);
    // Nobody's reading is moved: who has scrolled down is only told.
    if (atTop() && !waiting.length) {
      show([article]);
    } else {
      waiting.push(article);
      status.textContent = "There are new posts at the top";
      button.hidden = false;
    }
  }

  button.addEventListener("click", () => {
    button.hidden = true;
    if (button.dataset.reload) {
      location.reload();
      return;
    }
    show(waiting.splice(0));
    window.scrollTo({ top: 0, behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
    posts.querySelector("article a")?.focus({ preventScroll: true });
  });

  function open() {
    if (source) return;
    source = new EventSource(address);
    source.addEventListener("message", receive);
    source.addEventListener("change", change);
    source.addEventListener("reload", () => {
      close();
      button.dataset.reload = "yes";
      button.hidden = false;
    });
    source.addEventListener("end", () => {
      close();
      location.reload();
    });
    source.addEventListener("error", () => {
      // A cut connection comes back by itself; a refused one is asked again later.
      if (source && source.readyState === EventSource.CLOSED) {
        close();
        setTimeout(() => document.hidden || open(), 30000);
      }
    });
  }

  function close() {
    source?.close();
    source = null;
  }

  // A hidden page lets go of its connection: browsers allow six to one server, and people keep many tabs.
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : button.dataset.reload || open()));
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", (event) => event.persisted && open());
  if (!document.hidden) open();
}

// --- writing

function comfort(form) {
  const area = form.querySelector("textarea");
  const count = form.querySelector(".count");
  const most = Number(area.getAttribute("maxlength"));
  const button = form.querySelector("button");

  function measure() {
    const length = [...area.value].length;
    count.hidden = length < most * 0.8;
    count.textContent = `${most - length} left`;
    area.rows = Math.min(14, Math.max(2, area.value.split("\n").length));
  }

  area.addEventListener("input", measure);
  area.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  form.addEventListener("submit", () => {
    button.disabled = true;
  });
  window.addEventListener("pageshow", () => {
    button.disabled = false;
  });
  measure();
}

tellTimes(document);
setInterval(() => tellTimes(document), 30000);
document.querySelectorAll("form.box").forEach(comfort);
document.querySelectorAll("[data-live]").forEach(live);
