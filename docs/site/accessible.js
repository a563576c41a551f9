// What axe-core finds in the theme beside colours. A box that scrolls must be reached by keyboard; which ones do
// depends on the width of the window. Of navigation elements with one name, the later ones get a number.
const reachable = () => {
  for (const box of document.querySelectorAll("pre > code, .md-typeset__scrollwrap")) {
    if (box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }
};
addEventListener("load", () => {
  const seen = new Map();
  for (const nav of document.querySelectorAll("nav")) {
    const title = document.getElementById(nav.getAttribute("aria-labelledby"));
    const name = (title?.textContent || nav.getAttribute("aria-label") || "Code").trim();
    const key = name.toLowerCase();
    const count = (seen.get(key) ?? 0) + 1;
    seen.set(key, count);
    if (count > 1 || !title) nav.setAttribute("aria-label", count > 1 ? `${name} (${count})` : name);
    if (count > 1) nav.removeAttribute("aria-labelledby");
  }
  reachable();
});
addEventListener("resize", reachable);
