// One plot, updated in place. Streamlit calls the default export at every change of `data` and of the theme, always
// with the same parent element; what lives longer than one call hangs on the plot's own node.

let loading = null;

// plotly.js, once per page. Its address carries its version, so a copy in the browser's cache is never out of date,
// and force-cache takes it without asking the server, which sends no expiry date.
function library(address) {
  loading ??= fetch(address, { cache: "force-cache" })
    .then((answer) => {
      if (!answer.ok) throw new Error(`${answer.status} for ${address}`);
      return answer.blob();
    })
    .then((blob) => {
      const source = URL.createObjectURL(new Blob([blob], { type: "text/javascript" }));
      return new Promise((resolve, reject) => {
        const script = document.createElement("script");
        script.onload = () => resolve(window.Plotly);
        script.onerror = () => reject(new Error("plotly.js did not run"));
        script.src = source;
        document.head.append(script);
      }).finally(() => URL.revokeObjectURL(source));
    })
    .catch((problem) => {
      loading = null; // the next update tries again
      throw problem;
    });
  return loading;
}

function pageStyle(node) {
  const style = getComputedStyle(node);
  const value = (name) => style.getPropertyValue(`--st-${name}`).trim();
  return {
    text: value("text-color"),
    background: value("background-color"),
    raised: value("secondary-background-color"),
    border: value("border-color"),
    primary: value("primary-color"),
    font: value("font"),
  };
}

function dressed(layout, page) {
  const small = { ...layout.font, color: page.text, family: page.font };
  return {
    ...layout,
    autosize: true,
    font: small,
    paper_bgcolor: page.background, // not transparent: a saved PNG carries it
    plot_bgcolor: page.background,
    hoverlabel: { ...layout.hoverlabel, bgcolor: page.raised, bordercolor: page.border, font: small },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: page.text, activecolor: page.primary },
  };
}

async function draw(node) {
  const state = node.unfold;
  if (node.offsetWidth === 0) return; // in a hidden tab; the observer calls again once it is shown
  let Plotly;
  try {
    Plotly = await library(state.data.library);
  } catch (problem) {
    node.className = "unfold-plot unfold-plot-problem";
    node.textContent = `The plotting library did not load (${problem.message}). Reload the page to try again.`;
    return;
  }
  if (state.gone || node.offsetWidth === 0) return;
  if (node._dragging) {
    // Drawing now would end the reader's drag.
    clearTimeout(state.later);
    state.later = setTimeout(() => draw(node), 200);
    return;
  }
  const page = pageStyle(node);
  const shown = state.data.figure + JSON.stringify(page);
  if (shown === state.shown) return;
  state.shown = shown;
  const figure = JSON.parse(state.data.figure);
  const config = {
    displaylogo: false,
    showTips: false,
    showSendToCloud: false, // on by default: a button that uploads the figure to Plotly's own service
    plotlyServerURL: "",
    displayModeBar: true,
    modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d"],
    toImageButtonOptions: { format: "png", scale: 2, filename: state.data.file_name },
    responsive: false, // the observer below does it, and only where the node is shown
  };
  await Plotly.react(node, { ...figure, layout: dressed(figure.layout, page), config });
  node.dataset.updates = String(Number(node.dataset.updates ?? 0) + 1);
}

export default function ({ data, parentElement }) {
  if (!data.figure) {
    library(data.library).catch(() => {}); // the first plot tries again, and says so
    return;
  }
  let node = parentElement.querySelector(":scope > .unfold-plot");
  if (!node) {
    node = document.createElement("div");
    node.className = "unfold-plot";
    node.setAttribute("role", "img");
    node.unfold = { data };
    parentElement.append(node);
    node.unfold.observer = new ResizeObserver(() => {
      if (!node.unfold.shown) draw(node);
      else if (node.offsetWidth > 0 && node.offsetWidth !== node._fullLayout?.width) {
        library(node.unfold.data.library).then((Plotly) => Plotly.Plots.resize(node));
      }
    });
    node.unfold.observer.observe(node);
  }
  node.unfold.data = data;
  node.setAttribute("aria-label", data.description);
  node.style.height = `${JSON.parse(data.figure).layout.height}px`;
  draw(node);

  // Streamlit also calls this for a call that a newer one overtook, while the plot is still on the page.
  return () =>
    setTimeout(() => {
      if (parentElement.isConnected) return;
      node.unfold.gone = true;
      node.unfold.observer.disconnect();
      clearTimeout(node.unfold.later);
      loading?.then((Plotly) => Plotly.purge(node)).catch(() => {});
    });
}
