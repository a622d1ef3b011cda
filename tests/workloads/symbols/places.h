/* SPDX-License-Identifier: Apache-2.0 */
/* What the symbolizer's fixture libraries tell about themselves: addresses of calls in them, and the lines they are on. */
#pragma once

struct fixture_place {
  const char* function;  /* exported; call it as `const void* (*)(void)`: returns an address inside its own call */
  int lines[4];          /* of the frames at that address, innermost first; 0 ends them */
};

#ifdef __cplusplus
extern "C" {
#endif
extern const struct fixture_place fixture_places[];
const void* fixture_here(void);
#ifdef __cplusplus
}
#endif
