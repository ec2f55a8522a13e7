/** Version of this build, as nodes report it; the same as in package.json (a test says so). */
export const VERSION = '0.1.0';
