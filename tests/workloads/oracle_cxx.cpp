// SPDX-License-Identifier: Apache-2.0
// oracle.c as C++, where it uses operator new and delete in all their forms too.
#include <cstdlib>
#include <new>

#include "oracle.c"
