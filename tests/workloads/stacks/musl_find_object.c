/* SPDX-License-Identifier: Apache-2.0
 * What Debian's libgcc asks of the C library to find unwind information, and musl does not have. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include <link.h>
#include <stddef.h>
#include <stdint.h>

/* glibc's struct dl_find_object (dlfcn.h, since 2.35). */
struct found_object {
  unsigned long long flags;
  void *start, *end, *link_map, *eh_frame_header;
  unsigned long long reserved[7];
};

struct search {
  uintptr_t address;
  struct found_object* found;
  int result;
};

static int look(struct dl_phdr_info* info, size_t size, void* argument) {
  struct search* search = argument;
  void* frames = NULL;
  int inside = 0;
  (void)size;
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr)* header = &info->dlpi_phdr[i];
    const uintptr_t start = info->dlpi_addr + header->p_vaddr;
    if (header->p_type == PT_GNU_EH_FRAME) frames = (void*)start;
    if (header->p_type != PT_LOAD || search->address < start || search->address >= start + header->p_memsz) continue;
    inside = 1;
    search->found->start = (void*)start;
    search->found->end = (void*)(start + header->p_memsz);
  }
  if (!inside || frames == NULL) return 0;
  search->found->eh_frame_header = frames;
  search->result = 0;
  return 1;
}

int _dl_find_object(void* address, struct found_object* found);
int _dl_find_object(void* address, struct found_object* found) {
  struct search search = {(uintptr_t)address, found, -1};
  dl_iterate_phdr(look, &search);
  return search.result;
}
