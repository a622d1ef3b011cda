/* SPDX-License-Identifier: Apache-2.0
 * Allocates once from below each function of lies.S, whose frame information leads in a circle, backwards or nowhere. */
#include "../truth.h"

void lie_in_a_circle(void (*function)(void));
void lie_backwards(void (*function)(void));
void lie_far_away(void (*function)(void));

static int self;

static void allocate(void) {
  void* block = malloc(100);
  TRUTH_HIDE(block);
  truth_allocated(self, 100);
}

int main(void) {
  char line[64];
  self = truth_register("lies");
  truth_ready();
  while (truth_wait_go(line, sizeof(line))) {
    lie_in_a_circle(allocate);
    lie_backwards(allocate);
    lie_far_away(allocate);
    truth_print();
  }
  _exit(0);
}
