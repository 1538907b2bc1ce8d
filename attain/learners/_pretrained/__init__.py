"""What learners that start from a pre-trained model share; needs the extra ``attain[text]``."""
