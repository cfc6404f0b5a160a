// The charts: what they draw lies beside them, as data.
const drawn = {
  renderer: 'svg',
  actions: false,
  // Expressions are interpreted, so that the page's policy need not allow code from text.
  ast: true,
  defaultStyle: false,
  tooltip: { disableDefaultStyle: true },
  config: { font: 'system-ui, sans-serif' }
};
for (const place of document.querySelectorAll('[data-chart]')) {
  const spec = JSON.parse(document.getElementById(place.dataset.chart).textContent);
  // On a narrow page names leave room for their bars.
  const labelLimit = Math.min(300, 0.4 * place.clientWidth);
  spec.config = { ...spec.config, axisY: { ...spec.config?.axisY, labelLimit } };
  vegaEmbed(place, { ...spec, width: 'container', background: null }, drawn);
}

// The table of cells: by energy, or in the order in which they ran.
const table = document.querySelector('table.cells');
for (const heading of table?.querySelectorAll('th[data-key]') ?? []) {
  const button = document.createElement('button');
  button.setAttribute('aria-label', `Sort by ${heading.textContent}`);
  button.addEventListener('click', () => sort(heading));
  heading.append(' ', button);
}

function sort(heading) {
  const { key } = heading.dataset;
  const sign = heading.getAttribute('aria-sort') === 'descending' ? 1 : -1;
  const groups = [...table.querySelectorAll('tbody[data-order]')];
  groups.sort((a, b) => sign * (a.dataset[key] - b.dataset[key]));
  // The sum of what is not shown stays below.
  table.querySelector('thead').after(...groups);
  table.querySelectorAll('th[aria-sort]').forEach(other => other.removeAttribute('aria-sort'));
  heading.setAttribute('aria-sort', sign < 0 ? 'descending' : 'ascending');
}
