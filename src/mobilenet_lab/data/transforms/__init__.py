"""Operations on images, in the order in which a batch meets them: preprocessing, augmentation, mixing."""
