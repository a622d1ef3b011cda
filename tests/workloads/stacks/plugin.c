/* SPDX-License-Identifier: Apache-2.0
 * A library that is loaded and unloaded again and again. PLUGIN_ROOM makes builds whose frames differ. */
typedef void (*plugin_callback)(void);

static volatile char* volatile sink;

__attribute__((noinline)) static void call_from_inside(plugin_callback callback) {
  volatile char room[PLUGIN_ROOM];
  room[0] = 1;
  sink = room;
  callback();
  __asm__ volatile("" ::: "memory");
}

__attribute__((visibility("default"))) void plugin_call(plugin_callback callback) {
  volatile char room[2 * PLUGIN_ROOM];
  room[0] = 1;
  sink = room;
  call_from_inside(callback);
  __asm__ volatile("" ::: "memory");
}
