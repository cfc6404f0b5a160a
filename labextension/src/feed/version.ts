/** Of this extension, as `package.json` has it; told to the kernel in the greeting. */
export const VERSION = '0.1.0';
