// Opens the document in this page with NiiVue, from beside the page or from the reader's disk.
const part = (id) => document.getElementById(id);
const content = JSON.parse(part("manifest").textContent);
part("title").textContent = content.title;

async function show(module) {
  const viewer = new module.Niivue({ backColor: [0, 0, 0, 1] });
  await viewer.attachToCanvas(part("canvas"));
  await viewer.loadDocument(module.NVDocument.loadFromJSON(content));
  part("missing").hidden = true;
  window.niivue = viewer;
  document.documentElement.dataset.state = "ready";
}

function fail(error) {
  part("problem").hidden = false;
  part("problem").textContent = String(error);
}

part("choose").addEventListener("change", async (event) => {
  try {
    const text = await event.target.files[0].text();
    await show(await import(URL.createObjectURL(new Blob([text], { type: "text/javascript" }))));
  } catch (error) {
    fail(error);
  }
});

// Browsers refuse modules from the disk, but not from a server.
if (location.protocol === "file:") part("missing").hidden = false;
else import("./niivue.js").then(show).catch((error) => { part("missing").hidden = false; fail(error); });
