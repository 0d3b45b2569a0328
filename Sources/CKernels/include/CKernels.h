#pragma once

#include "DirectConvolution.h"
#include "Pooling.h"
