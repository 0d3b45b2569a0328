#pragma once
/* TurboJPEG keeps its error handling inside: every call returns a status, nothing jumps. */
#include <turbojpeg.h>
