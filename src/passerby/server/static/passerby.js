// What the pages do in the browser: choosing photos, moving the threshold, selecting, confirming.
"use strict";

(() => {
  const byId = (id) => document.getElementById(id);
  const beyondShown = 12;

  function tell(sentence) {
    const message = document.createElement("p");
    message.className = "message wrong";
    message.textContent = sentence;
    byId("message").replaceChildren(message);
  }

  // ---- photos: chosen, dropped or pasted; the file input holds them all ----

  const input = byId("images");
  const drop = byId("drop");
  let files = [];

  function putIn(chosen) {
    const most = Number(drop.dataset.most);
    const largest = Number(drop.dataset.bytes);
    const images = chosen.filter((file) => file.type.startsWith("image/"));
    const fitting = images.filter((file) => file.size <= largest);
    if (images.length < chosen.length) tell("Only images can be searched with.");
    else if (fitting.length < images.length) tell(`An image may have ${largest / 1e6} MB: cut out the pedestrian first.`);
    else if (files.length + fitting.length > most) tell(`At most ${most} photos can be searched with.`);
    else byId("message").replaceChildren();
    files = [...files, ...fitting].slice(0, most);
    if (fitting.length) dropLike();
    showPhotos();
  }

  function showPhotos() {
    const held = new DataTransfer();
    files.forEach((file) => held.items.add(file));
    input.files = held.files;
    const previews = byId("previews");
    previews.querySelectorAll("img").forEach((image) => URL.revokeObjectURL(image.src));
    previews.replaceChildren(...files.map(preview));
  }

  function preview(file) {
    const item = document.createElement("li");
    const image = document.createElement("img");
    image.src = URL.createObjectURL(file);
    image.alt = `photo ${file.name}`;
    const remove = document.createElement("button");
    remove.type = "button";
    remove.textContent = "×";
    remove.setAttribute("aria-label", `Remove ${file.name}`);
    remove.addEventListener("click", () => {
      files = files.filter((other) => other !== file);
      showPhotos();
      input.focus();
    });
    item.append(image, remove);
    return item;
  }

  function dropLike() {
    byId("like").replaceChildren();
  }

  if (drop) {
    // on a phone the photo and the button come first
    if (matchMedia("(max-width: 34rem)").matches) byId("attributes")?.removeAttribute("open");
    input.addEventListener("change", () => putIn([...input.files]));
    drop.addEventListener("dragover", (event) => {
      event.preventDefault();
      drop.classList.add("over");
    });
    drop.addEventListener("dragleave", () => drop.classList.remove("over"));
    // a photo that misses the zone must not replace the page
    document.addEventListener("dragover", (event) => event.preventDefault());
    document.addEventListener("drop", (event) => {
      if (!event.dataTransfer.types.includes("Files")) return;
      event.preventDefault();
      drop.classList.remove("over");
      putIn([...event.dataTransfer.files]);
    });
    document.addEventListener("paste", (event) => {
      const pasted = [...event.clipboardData.files];
      if (!pasted.length) return;
      event.preventDefault();
      putIn(pasted);
    });
    byId("search-form").addEventListener("reset", () => {
      files = [];
      dropLike();
      setTimeout(() => {
        showPhotos();
        byId("search-form").dispatchEvent(new Event("change", { bubbles: true }));
      });
    });
  }

  // ---- the threshold: cards move from one side of the line to the other ----

  let curve = [];
  const percent = (part) => (part < 0.01 ? "< 1 %" : part > 0.99 ? "> 99 %" : `${Math.round(100 * part)} %`);
  const share = (part) => (part > 0 && part < 0.01 ? `${(100 * part).toPrecision(1)} %` : percent(part));

  function cards() {
    return [...document.querySelectorAll("#cards > .card")];
  }

  function divide() {
    const slider = byId("threshold");
    if (!slider) return;
    const threshold = Number(slider.value);
    const all = cards();
    // as finely as distances are written on the page
    const within = all.filter((card) => Number(card.dataset.distance) <= threshold + 1e-6).length;
    all.forEach((card, number) => {
      const state = number < within ? "within" : number < within + beyondShown ? "beyond" : "hidden";
      card.className = `card ${state}`;
      card.hidden = state === "hidden";
    });
    byId("cards").insertBefore(byId("cut"), all[within] || null);
    byId("cut-distance").textContent = threshold.toFixed(3);
    byId("threshold-reset").hidden = slider.value === slider.defaultValue;
    explain(threshold, slider);
    count(within);
  }

  function explain(threshold, slider) {
    const point = curve.find((row) => row[0] >= threshold) || curve[curve.length - 1];
    if (!point) return;
    const [, probability, found, wrong] = point;
    byId("cut-words").textContent = ` · same person there: ${percent(probability)}`;
    slider.setAttribute("aria-valuetext", `${threshold.toFixed(3)}, same person there ${percent(probability)}`);
    byId("threshold-meaning").textContent =
      `At this distance a crop shows the same person with ${percent(probability)}. Up to here about ` +
      `${share(found)} of a person's crops are found, and ${share(wrong)} of all other people's.`;
  }

  function count(within) {
    const place = byId("count");
    const number = within === undefined ? cards().length : within;
    const limit = within === undefined ? "" : " within the threshold";
    const searched = Number(place.dataset.searched).toLocaleString("en");
    const strong = document.createElement("strong");
    const open = place.dataset.more === "yes" && number === cards().length;
    strong.textContent = open ? `${number}+` : number;
    place.replaceChildren(strong, ` ${number === 1 ? "answer" : "answers"}${limit}, of ${searched} searched`);
  }

  // ---- selecting and erasing ----

  const selected = () => [...document.querySelectorAll("#cards input[name=hash]:checked")];

  function countSelected() {
    const button = byId("erase-selected");
    if (!button) return;
    const number = selected().length;
    button.disabled = number === 0;
    button.textContent = number ? `Erase ${number} selected …` : "Erase selected …";
  }

  function selectAnswers() {
    const boxes = [...document.querySelectorAll("#cards .within input[name=hash]")];
    const all = boxes.length > 0 && boxes.every((box) => box.checked);
    boxes.forEach((box) => { box.checked = !all; });
    countSelected();
  }

  function takeAway(hashes) {
    const gone = new Set(hashes);
    cards().filter((card) => gone.has(card.dataset.hash)).forEach((card) => card.remove());
    const place = byId("count");
    place.dataset.searched = Number(place.dataset.searched) - gone.size;
    if (byId("threshold")) divide();
    else count();
    countSelected();
  }

  function startResults() {
    const slider = byId("threshold");
    curve = slider && slider.dataset.curve ? JSON.parse(slider.dataset.curve) : [];
    const shown = byId("shown-like");
    if (shown && input) {
      const hashes = shown.dataset.like.split(" ").filter(Boolean);
      byId("like").replaceChildren(...hashes.map((hash) => {
        const field = document.createElement("input");
        Object.assign(field, { type: "hidden", name: "like", value: hash });
        return field;
      }));
      if (hashes.length) {
        files = [];
        showPhotos();
      }
    }
    if (byId("count") && byId("count").dataset.threshold === "yes") divide();
    countSelected();
  }

  document.addEventListener("input", (event) => {
    if (event.target.id === "threshold") divide();
  });
  document.addEventListener("change", (event) => {
    if (event.target.name === "hash") countSelected();
  });
  document.addEventListener("click", (event) => {
    const target = event.target.closest("button, a");
    if (!target) return;
    if (target.id === "threshold-reset") {
      const slider = byId("threshold");
      slider.value = slider.defaultValue;
      divide();
      slider.focus();
    } else if (target.matches("[data-select-answers]")) {
      selectAnswers();
    } else if (target.matches("[data-drop-like]")) {
      dropLike();
      target.closest(".query").remove();
    } else if (target.matches("[data-close-dialog]") && byId("dialog").open) {
      event.preventDefault();
      byId("dialog").close();
    }
  });

  // ---- what htmx brings ----

  document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.detail.elt.id !== "search-form") return;
    byId("message").replaceChildren();
  });
  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target.id === "results") startResults();
    if (event.detail.target.id === "dialog" && !byId("dialog").open) {
      byId("dialog").showModal();
      byId("dialog-title").focus();
    }
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    const form = event.detail.elt;
    if (form.id === "erase-form") {
      byId("dialog").close();
      if (event.detail.successful) takeAway([...form.querySelectorAll("input[name=hash]")].map((field) => field.value));
    }
    if (form.id === "search-form" && event.detail.successful && matchMedia("(max-width: 62rem)").matches) {
      byId("results").scrollIntoView();
    }
  });
  document.addEventListener("htmx:sendError", () => tell("The server does not answer: is it still running?"));

  startResults();
})();
