import { LabIcon } from '@jupyterlab/ui-components';

/** A flash in a leaf's outline. */
const SVG = `<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24">
  <path class="jp-icon3 jp-icon-selectable" fill="#616161" d="M20.5 3.5C11 3 4 7 4 14.2c0 1.700.500 3.200 1.400 4.500L3.600 20.500l1.400 1.400 1.800-1.800A8 8 0 0 0 11.200 21.400C18.400 21.400 21.200 13 20.500 3.500zM11.200 19.400a6 6 0 0 1-3-.800L12 14.900h2.600l-2.100 4.400q-.600.100-1.300.100zm3.900-1L17.600 13h-3l2-5-7 7h2.600l-4.800 2.300A5.700 5.700 0 0 1 6 14.200c0-5.700 5.200-8.700 12.600-8.700.100 6-1 10.700-3.500 12.900z"/>
</svg>`;

export const energyIcon = new LabIcon({ name: 'jupyter-green:energy', svgstr: SVG });
