/* SPDX-License-Identifier: Apache-2.0 */
/* Fixture of the symbolizer's tests: a function inside of a function, which DWARF describes inside of it, too. */
__attribute__((noipa)) static const void* here(void) {
  return (const char*)__builtin_return_address(0) - 1;
}

const void* call_nested(void) {
  const void* volatile at;
  __attribute__((noipa)) const void* nested(int number) {
    at = here(); /* line 10 */
    return number != 0 ? at : 0;
  }
  return nested(1);
}
