() => {
  const names = {before: "Image before", after: "Image after", "heat-before": "Heat map over the image before",
    "heat-after": "Heat map over the image after", swipe: "Image before and image after, one over the other"};
  const drag = (handle, step) => {
    const box = handle.getBoundingClientRect(), x = box.left + box.width / 2, y = box.top + box.height / 2;
    [["mousedown", handle, 0], ["mousemove", window, step], ["mouseup", window, step]].forEach(([type, target, by]) =>
      target.dispatchEvent(new MouseEvent(type, {bubbles: true, cancelable: true, view: window, clientX: x + by,
        clientY: y})));
  };
  const complete = () => {
    Object.entries(names).forEach(([id, name]) =>
      document.querySelectorAll(`#${id} img`).forEach((image) => { image.alt = name; }));
    document.querySelectorAll("#swipe [data-testid=slider]:not([tabindex])").forEach((handle) => {
      Object.entries({tabindex: 0, role: "separator", "aria-label": "Line between before and after",
        "aria-orientation": "vertical"}).forEach(([name, value]) => handle.setAttribute(name, value));
      handle.addEventListener("keydown", (event) => {
        const step = {ArrowLeft: -20, ArrowRight: 20}[event.key];
        if (step) { event.preventDefault(); drag(handle, step); }
      });
    });
  };
  new MutationObserver(complete).observe(document.body, {childList: true, subtree: true});
  complete();
}
