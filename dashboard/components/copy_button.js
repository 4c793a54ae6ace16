// Copies the page's address to the clipboard and says so for two seconds.

async function copy(text) {
  if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
  // Over plain HTTP to another machine browsers offer only the old way.
  const area = document.createElement("textarea");
  area.value = text;
  area.style.position = "fixed";
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (!done) throw new Error("refused");
}

export default function ({ data, parentElement }) {
  let button = parentElement.querySelector(":scope > .unfold-copy");
  if (!button) {
    button = document.createElement("button");
    button.className = "unfold-copy";
    button.type = "button";
    parentElement.append(button);
  }
  button.textContent = data.label;
  button.onclick = async () => {
    try {
      await copy(window.location.href);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Not allowed here: copy it from the address bar";
    }
    setTimeout(() => (button.textContent = data.label), 2000);
  };
}
