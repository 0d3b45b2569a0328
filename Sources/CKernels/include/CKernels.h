#pragma once

#include "DirectConvolution.h"
#include "MinimalFiltering.h"
#include "Pooling.h"
